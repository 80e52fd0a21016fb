/**
 * What a diagnosis finds.
 *
 * @module
 */
import type { Addr } from "../../kernel/sockaddr.ts";

/** How much a finding matters. */
export type Severity =
  /** For it the peer is not reached, or not by MPTCP. */
  | "error"
  /** It stands in the way of a path. */
  | "warning"
  /** Worth knowing. */
  | "info";

/** The causes, by name. docs/diagnosis.md has a table of them. */
export type FindingCode =
  // The peer is not reached.
  | "nameUnknown"
  | "refused"
  | "timedOut"
  | "noRoute"
  | "reset"
  | "localAddressUnusable"
  | "answerDropped"
  | "mptcpBlocked"
  | "connectFailed"
  // The connection is plain TCP: this host.
  | "unsupported"
  | "kernelWithoutMptcp"
  | "mptcpDisabled"
  | "socketForbidden"
  | "blackholeTimer"
  | "optionRemovedHere"
  // … the peer, or something on the way
  | "synLost"
  | "optionStripped"
  | "synAckWithoutOption"
  | "peerWithoutMptcp"
  | "peerVersion"
  | "optionStrippedLater"
  | "fallback"
  // A path is missing: this host.
  | "userspacePathManager"
  | "subflowsLimit"
  | "addAddrLimit"
  | "noEndpoint"
  | "oneInterface"
  | "endpointAddressMissing"
  | "endpointInterfaceDown"
  | "endpointWithoutDevice"
  | "endpointWithoutRoute"
  | "strictReversePath"
  // … the peer, or something on the way
  | "denyJoinId0"
  | "joinRefused"
  | "joinRejected"
  | "joinStripped"
  | "joinHmacFailure"
  | "joinUnanswered"
  | "joinAnswerDropped"
  | "joinUnreachable"
  | "joinReset"
  | "joinNotSent"
  | "joinNotTried"
  // About the diagnosis.
  | "sameHost"
  | "peerClosed"
  | "sameInterface"
  | "notFullyEstablished"
  | "otherConnections"
  | "lessEvidence";

/** One cause. */
export interface Finding {
  /** The cause by name, for programs. */
  code: FindingCode;
  /**
   * `"error"`: for it the peer is not reached, or not by MPTCP; `"warning"`: it stands in the way of a path; `"info"`: worth
   * knowing.
   */
  severity: Severity;
  /** The cause in words. */
  message: string;
  /** What a person can do, with commands between backticks. */
  hint?: string;
  /** How it is known. */
  evidence?: string;
}

/** One subflow of the connection that was made, or is still being made. */
export interface DiagnosedSubflow {
  /** Our end. */
  local: Addr;
  /** The peer's end. */
  remote: Addr;
  /** The interface that it leaves by; `null` where that is not known. */
  interface: string | null;
  /** The TCP state under the name that `ss` prints: `"ESTABLISHED"`, or `"SYN_SENT"` where no answer has come yet. */
  state: string;
  /** Whether one of the two sides wants it for a backup only; `undefined` where the kernel will not tell. */
  backup: boolean | undefined;
}

/** The finding for a connection that the peer ended before it could be looked at. */
export function peerClosed(): Finding {
  return {
    code: "peerClosed",
    severity: "info",
    message: "the peer closed the connection at once, before a further path could begin",
    hint:
      "its service may wait for data, or may not want this client; look at a connection that carries data: `conn.subflows()`",
  };
}
