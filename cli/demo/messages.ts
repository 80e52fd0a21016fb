/**
 * What the demonstration's processes tell each other: one JSON object a line, on the children's standard output.
 *
 * @module
 */

/** What a child is to do; its only argument, as JSON. */
export interface Task {
  /** The address that the server listens on and the client dials. */
  hostname: string;
  /** The server's port; 0 for the server itself, which takes any. */
  port: number;
  /** How many bytes go over the connection. */
  bytes: number;
  /** As the option of `connect` and `listen`. */
  mptcp: "prefer" | "require" | "off";
  /** Congestion control for both ends; left out where the host's own is to be used. */
  congestion?: string;
  /** The sender's send buffer; left out where the kernel is to tune it. */
  sendBuffer?: number;
  /** Bytes per second that the sender keeps to, where no path does it for it. */
  pace?: number;
}

/** One subflow at one moment, seen from the sender. */
export interface SubflowSample {
  id: number;
  local: string;
  remote: string;
  /** Bytes sent, retransmissions included. */
  sent: number;
  /** Bytes that arrived at the peer, as far as its acknowledgements tell. */
  arrived: number;
  /** Smoothed round-trip time, ms. */
  rtt: number;
  /** Segments sent again. */
  retransmits: number;
}

/** All subflows at one moment. */
export interface Sample {
  /** `Date.now()` */
  at: number;
  subflows: SubflowSample[];
}

/** The kernel's word on the connection, from one end. */
export interface Confirmation {
  multipath: boolean;
  token: number | null;
  /** How many subflows live. */
  subflows: number;
  local: string;
  remote: string;
}

/** A time in which nothing arrived. */
export interface Pause {
  /** Its beginning, `Date.now()`. */
  at: number;
  /** Its length, ms. */
  ms: number;
}

/** What the receiver says. */
export type ReceiverMessage =
  | { type: "listening"; port: number }
  | { type: "accepted"; confirmation: Confirmation }
  | { type: "progress"; at: number; bytes: number }
  | { type: "done"; bytes: number; sha256: string; pauses: Pause[]; confirmation: Confirmation }
  | { type: "error"; message: string };

/** What the sender says. */
export type SenderMessage =
  | { type: "connected"; confirmation: Confirmation }
  | { type: "sample"; sample: Sample }
  | { type: "done"; sha256: string; answered: string; confirmation: Confirmation }
  | { type: "error"; message: string };
