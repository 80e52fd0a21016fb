/**
 * What is known about one data connection, during it and afterwards.
 *
 * @module
 */
import type { Fallback } from "../net/fallback.ts";
import type { PathControl } from "../net/path_control.ts";
import type { Subflow } from "../paths/connection.ts";

/** What went through a data connection. */
export type DataKind = "upload" | "download" | "list";

interface Words {
  isMultipath: boolean;
  fallback: Fallback | null;
  subflows: Subflow[];
}

const UNKNOWN: Words = { isMultipath: false, fallback: null, subflows: [] };

/** What only the client may tell a {@linkcode DataConnection}. */
export interface DataConnectionOwner {
  /** It may soon be over: asks the kernel, as its paths end with it. */
  look(): void;
  /** It is closed next. */
  ending(): void;
}

/** One data connection: an upload's, a download's or a listing's. While it is open the kernel is asked each time. */
export class DataConnection {
  /** What went through it. */
  readonly kind: DataKind;
  readonly #count: () => number;
  #control: PathControl | null;
  #last: Words | null = null;

  /**
   * Clients make them.
   *
   * @param control `null` where nobody knows.
   * @param count The bytes so far.
   * @param keep Gets what only the client may call.
   */
  constructor(
    kind: DataKind,
    control: PathControl | null,
    count: () => number,
    keep: (owner: DataConnectionOwner) => void = () => {},
  ) {
    this.kind = kind;
    this.#control = control;
    this.#count = count;
    const look = () => {
      const before = this.#last?.subflows ?? [];
      const words = this.#now;
      // The peer may have closed already: then its paths go one after another.
      if (words.subflows.length < before.length) words.subflows = before;
    };
    keep({
      look,
      ending: () => {
        look();
        this.#control = null;
      },
    });
    // What is short may be over before anybody asks.
    void this.#now;
  }

  get #now(): Words {
    const control = this.#control;
    if (control === null || control.fd < 0) return this.#last ?? UNKNOWN;
    try {
      const live = control.subflows();
      return this.#last = {
        isMultipath: control.isMultipath(),
        fallback: control.fallback(),
        subflows: live.length > 0 ? live : this.#last?.subflows ?? [],
      };
    } catch {
      // Closed in the meantime by the runtime, as after a reset.
      return this.#last ?? UNKNOWN;
    }
  }

  /** Whether it speaks MPTCP; of one that is over, whether it did to its end. */
  get isMultipath(): boolean {
    return this.#now.isMultipath;
  }

  /** Bytes of the file or the listing that went through it so far; for FTPS those before encryption. */
  get bytes(): number {
    return this.#count();
  }

  /** When and why it is plain TCP though MPTCP was wanted, `null` else. */
  get fallback(): Fallback | null {
    return this.#now.fallback;
  }

  /**
   * Its live subflows, with the bytes of each in `tcpInfo`; of one that is over, as they were last seen. Of a connection that is
   * plain TCP one entry with id 0.
   */
  get subflows(): Subflow[] {
    return this.#now.subflows;
  }
}
