/**
 * Netlink messages of `<linux/netlink.h>`: headers, the messages of a datagram, acknowledgements with the kernel's words,
 * and replies that come in several parts.
 *
 * @module
 */
import { EOVERFLOW } from "./errno.ts";
import { type MptcpError, type MptcpErrorOptions, systemError } from "./error.ts";
import { AttributeDecoder, malformed, netlinkAlign } from "./netlink_attributes.ts";
import { HOST_LITTLE_ENDIAN, struct, u16, u32, viewOf } from "./struct.ts";

/** `<linux/socket.h>`: the family of the socket */
export const AF_NETLINK = 16;
/** `<linux/socket.h>`: the level of its options */
export const SOL_NETLINK = 270;
/** Protocol of links, addresses and routes. */
export const NETLINK_ROUTE = 0;
/** Protocol of sockets. */
export const NETLINK_SOCK_DIAG = 4;
/** Protocol of the families that have a name, `mptcp_pm` among them. */
export const NETLINK_GENERIC = 16;
/** Socket option: join a group; needs CAP_NET_ADMIN for `mptcp_pm_events`. */
export const NETLINK_ADD_MEMBERSHIP = 1;
/** Socket option: leave a group. */
export const NETLINK_DROP_MEMBERSHIP = 2;
/** Socket option: drop what does not fit in silence, instead of failing with ENOBUFS. */
export const NETLINK_NO_ENOBUFS = 5;
/** Socket option: acknowledgements repeat only the header of the request. */
export const NETLINK_CAP_ACK = 10;
/** Socket option: acknowledgements carry the kernel's words. */
export const NETLINK_EXT_ACK = 11;
/** Socket option: the kernel checks dump requests strictly. */
export const NETLINK_GET_STRICT_CHK = 12;

/** `#define NLMSG_NOOP 0x1`: nothing */
export const NLMSG_NOOP = 1;
/** `#define NLMSG_ERROR 0x2`: an error, or with errno 0 an acknowledgement */
export const NLMSG_ERROR = 2;
/** `#define NLMSG_DONE 0x3`: the end of a dump */
export const NLMSG_DONE = 3;
/** `#define NLMSG_OVERRUN 0x4`: data was lost */
export const NLMSG_OVERRUN = 4;
/** `#define NLMSG_MIN_TYPE 0x10`: types below are the protocol's own */
export const NLMSG_MIN_TYPE = 16;

/** `#define NLM_F_REQUEST 0x01` */
export const NLM_F_REQUEST = 0x01;
/** `#define NLM_F_MULTI 0x02`: one of several parts, `NLMSG_DONE` follows */
export const NLM_F_MULTI = 0x02;
/** `#define NLM_F_ACK 0x04`: acknowledge success too */
export const NLM_F_ACK = 0x04;
/** `#define NLM_F_DUMP_INTR 0x10`: the list changed while it was dumped */
export const NLM_F_DUMP_INTR = 0x10;
/** `#define NLM_F_DUMP (NLM_F_ROOT|NLM_F_MATCH)` */
export const NLM_F_DUMP = 0x300;
/** `#define NLM_F_CAPPED 0x100`: in an acknowledgement: the request's payload is not repeated */
export const NLM_F_CAPPED = 0x100;
/** `#define NLM_F_ACK_TLVS 0x200`: in an acknowledgement: attributes follow */
export const NLM_F_ACK_TLVS = 0x200;

/** `enum nlmsgerr_attrs` */
const NLMSGERR_ATTR_MSG = 1;
const NLMSGERR_ATTR_OFFS = 2;
const NLMSGERR_ATTR_COOKIE = 3;
const NLMSGERR_ATTR_MISS_TYPE = 5;
const NLMSGERR_ATTR_MISS_NEST = 6;

/** `struct nlmsghdr` */
const HEADER = struct({
  nlmsg_len: u32(0),
  nlmsg_type: u16(4),
  nlmsg_flags: u16(6),
  nlmsg_seq: u32(8),
  nlmsg_pid: u32(12),
});
/** `#define NLMSG_HDRLEN ((int) NLMSG_ALIGN(sizeof(struct nlmsghdr)))` */
export const NLMSG_HDRLEN = 16;

/** `struct sockaddr_nl` with port id 0: bound to it, a socket gets an id from the kernel. */
export function encodeSockaddrNl(): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(12);
  SOCKADDR_NL.encode(viewOf(bytes), 0, { nl_family: AF_NETLINK, nl_pid: 0, nl_groups: 0 });
  return bytes;
}

const SOCKADDR_NL = struct({ nl_family: u16(0), nl_pid: u32(4), nl_groups: u32(8) });

/** One message of a datagram. It refers to the datagram's bytes, which must stay as they are while it is in use. */
export interface NetlinkMessage {
  /** `nlmsg_type`: a generic netlink family, `SOCK_DIAG_BY_FAMILY`, `RTM_NEWLINK` … */
  readonly type: number;
  /** `nlmsg_flags` */
  readonly flags: number;
  /** `nlmsg_seq`: the request's that it answers, 0 in notifications. */
  readonly sequence: number;
  /** `nlmsg_pid`: the socket that it is for. */
  readonly portId: number;
  /** The whole datagram. */
  readonly bytes: Uint8Array;
  /** A view over the whole datagram. */
  readonly view: DataView;
  /** Where the payload starts in the datagram. */
  readonly start: number;
  /** Where the payload ends. */
  readonly end: number;
}

/**
 * Encodes a message. Its sequence number is 0; the sender sets it by {@linkcode setSequence}.
 *
 * @param type `nlmsg_type`
 * @param flags `NLM_F_REQUEST` and others
 * @param parts The payload, piece by piece; each piece starts at a multiple of 4.
 */
export function encodeMessage(type: number, flags: number, ...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const length = parts.reduce((sum, part) => netlinkAlign(sum) + part.length, NLMSG_HDRLEN);
  const bytes = new Uint8Array(netlinkAlign(length));
  HEADER.encode(viewOf(bytes), 0, { nlmsg_len: length, nlmsg_type: type, nlmsg_flags: flags });
  let at = NLMSG_HDRLEN;
  for (const part of parts) {
    bytes.set(part, netlinkAlign(at));
    at = netlinkAlign(at) + part.length;
  }
  return bytes;
}

/** Sets the sequence number of an encoded message. */
export function setSequence(message: Uint8Array, sequence: number): void {
  HEADER.encode(viewOf(message), 0, { nlmsg_seq: sequence });
}

/**
 * The messages of one datagram, in order.
 *
 * @throws {MptcpError} `EBADMSG`, when a length cannot be true, as in a datagram that was cut off by too small a buffer.
 */
export function decodeMessages(datagram: Uint8Array): NetlinkMessage[] {
  const view = viewOf(datagram);
  const messages: NetlinkMessage[] = [];
  for (let at = 0; at < datagram.length;) {
    const left = datagram.length - at;
    if (left < NLMSG_HDRLEN) throw malformed("a netlink datagram", `${left} bytes are left over at ${at}`);
    // Read directly, not by the table: a dump has thousands of these.
    const length = view.getUint32(at, HOST_LITTLE_ENDIAN);
    if (length < NLMSG_HDRLEN || length > left) {
      const why = `the message at ${at} claims ${length} bytes, where ${NLMSG_HDRLEN} to ${left} are possible`;
      throw malformed("a netlink datagram", why);
    }
    messages.push({
      type: view.getUint16(at + 4, HOST_LITTLE_ENDIAN),
      flags: view.getUint16(at + 6, HOST_LITTLE_ENDIAN),
      sequence: view.getUint32(at + 8, HOST_LITTLE_ENDIAN),
      portId: view.getUint32(at + 12, HOST_LITTLE_ENDIAN),
      bytes: datagram,
      view,
      start: at + NLMSG_HDRLEN,
      end: at + length,
    });
    at += netlinkAlign(length);
  }
  return messages;
}

/** The attributes of a message, behind a fixed part of `skip` bytes. */
export function messageAttributes(message: NetlinkMessage, skip: number): AttributeDecoder {
  const start = message.start + netlinkAlign(skip);
  if (message.start + skip > message.end) {
    throw malformed(`a message of type ${message.type}`, `it has ${message.end - message.start} bytes, and needs ${skip}`);
  }
  return new AttributeDecoder(message.bytes, Math.min(start, message.end), message.end, message.view);
}

/** What an acknowledgement says: `struct nlmsgerr` and, with `NETLINK_EXT_ACK`, the attributes behind it. */
export interface ExtendedAck {
  /** The errno, positive; 0 for success. */
  errno: number;
  /** The kernel's words; also with success, as a warning. `NLMSGERR_ATTR_MSG` */
  message?: string;
  /** Where in the request the bad attribute starts, in bytes from its header. `NLMSGERR_ATTR_OFFS` */
  offset?: number;
  /** The type of an attribute that is missing. `NLMSGERR_ATTR_MISS_TYPE` */
  missingType?: number;
  /** Where in the request the nest starts in which it is missing; absent at the top. `NLMSGERR_ATTR_MISS_NEST` */
  missingNest?: number;
  /** What a successful command wants to give back. `NLMSGERR_ATTR_COOKIE` */
  cookie?: Uint8Array;
}

/** Decodes an `NLMSG_ERROR`, or the end of a dump (`NLMSG_DONE`), which is laid out alike but repeats no request. */
export function decodeAck(message: NetlinkMessage): ExtendedAck {
  const { view, start, end, type, flags } = message;
  // The oldest kernels end a dump with a bare header.
  if (type === NLMSG_DONE && end === start) return { errno: 0 };
  if (end - start < 4) throw malformed("an acknowledgement", `it has ${end - start} bytes, and needs 4`);
  const error = view.getInt32(start, HOST_LITTLE_ENDIAN);
  if (error > 0) throw malformed("an acknowledgement", `its errno is ${-error}`);
  const ack: ExtendedAck = { errno: 0 - error }; // never -0
  if ((flags & NLM_F_ACK_TLVS) === 0) return ack;
  let skip = 4;
  if (type === NLMSG_ERROR) {
    if (end - start < 4 + NLMSG_HDRLEN) throw malformed("an acknowledgement", "it does not repeat the request's header");
    const requestLength = HEADER.decode(view, start + 4, 4).nlmsg_len!;
    skip += flags & NLM_F_CAPPED ? NLMSG_HDRLEN : Math.max(NLMSG_HDRLEN, requestLength);
  }
  const attributes = messageAttributes(message, skip);
  while (attributes.next()) {
    switch (attributes.type) {
      case NLMSGERR_ATTR_MSG:
        ack.message = attributes.cstring();
        break;
      case NLMSGERR_ATTR_OFFS:
        ack.offset = attributes.u32();
        break;
      case NLMSGERR_ATTR_COOKIE:
        ack.cookie = attributes.bytes();
        break;
      case NLMSGERR_ATTR_MISS_TYPE:
        ack.missingType = attributes.u32();
        break;
      case NLMSGERR_ATTR_MISS_NEST:
        ack.missingNest = attributes.u32();
        break;
    }
  }
  return ack;
}

/** The error for an acknowledgement that is none, with the kernel's words as `detail`. */
export function ackError(ack: ExtendedAck, syscall: string, options: MptcpErrorOptions = {}): MptcpError {
  const missing = ack.missingType === undefined ? undefined : `attribute ${ack.missingType} is missing`;
  return systemError(ack.errno, syscall, { ...options, detail: ack.message ?? missing ?? options.detail });
}

/**
 * Collects the answer to one request, datagram by datagram, whichever form it has: one message, one message and an
 * acknowledgement, an acknowledgement only, or a dump in several parts.
 */
export class Reply {
  /** The answer's messages so far; they refer to the datagrams' bytes. */
  readonly messages: NetlinkMessage[] = [];
  /** Whether the answer is complete. */
  done = false;
  /** Whether the kernel's list changed during the dump (`NLM_F_DUMP_INTR`): then something may be missing or doubled. */
  interrupted = false;
  /** What the kernel acknowledged; errno 0 where nothing went wrong. */
  ack: ExtendedAck = { errno: 0 };
  readonly #sequence: number;
  readonly #wait: boolean;

  /**
   * Waits for the answer to an encoded request.
   *
   * @param request The request as it is sent, with its sequence number.
   */
  constructor(request: Uint8Array) {
    const { nlmsg_seq, nlmsg_flags } = HEADER.decode(viewOf(request), 0, NLMSG_HDRLEN);
    this.#sequence = nlmsg_seq!;
    this.#wait = (nlmsg_flags! & (NLM_F_ACK | NLM_F_DUMP)) !== 0;
  }

  /**
   * Takes the next datagram; messages of other requests, late answers, are passed over.
   *
   * @returns Whether the answer is complete.
   * @throws {MptcpError} `EBADMSG`, when the datagram is malformed.
   */
  add(datagram: Uint8Array): boolean {
    for (const message of decodeMessages(datagram)) {
      if (this.done || message.sequence !== this.#sequence || message.type === NLMSG_NOOP) continue;
      if ((message.flags & NLM_F_DUMP_INTR) !== 0 && message.type !== NLMSG_ERROR) this.interrupted = true;
      if (message.type === NLMSG_ERROR || message.type === NLMSG_DONE) {
        this.ack = decodeAck(message);
        this.done = true;
      } else if (message.type === NLMSG_OVERRUN) {
        this.ack = { errno: EOVERFLOW, message: "the kernel lost a part of the answer" };
        this.done = true;
      } else {
        this.messages.push(message);
        this.done = !this.#wait && (message.flags & NLM_F_MULTI) === 0;
      }
    }
    return this.done;
  }
}
