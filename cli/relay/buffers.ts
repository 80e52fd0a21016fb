/**
 * The memory of all flows of a thread.
 *
 * @module
 */
import type { Libc } from "../../ffi/mod.ts";
import { SOCK_CLOEXEC, SOCK_NONBLOCK } from "../../kernel/constants.ts";

/** The most that is received at once, bytes. */
const LARGE = 256 << 10;
/** And while more than the second number of bytes lies with flows that wait. */
const SMALLER = [[64 << 10, 32 << 20], [16 << 10, 128 << 20]] as const;
/** What the kernel gives a pipe. */
const PIPE_SIZE = 64 << 10;
/** So many empty pipes are kept for later. */
const SPARE_PIPES = 64;

type Pipe = readonly [read: number, write: number];

/** See the module's comment. */
export class BufferPool {
  readonly pipeSize = PIPE_SIZE;
  readonly #libc: Libc;
  readonly #large = new Uint8Array(LARGE);
  readonly #smaller = SMALLER.map(([size, above]) => ({ buffer: this.#large.subarray(0, size), above })).reverse();
  #spare: Pipe[] = [];
  #kept = 0;

  constructor(libc: Libc) {
    this.#libc = libc;
  }

  /** The buffer that every flow receives into; what lies there is gone with the next receiving. */
  get shared(): Uint8Array {
    if (this.#kept <= SMALLER[0][1]) return this.#large;
    return this.#smaller.find(({ above }) => this.#kept > above)!.buffer;
  }

  /** Keeps a part of a buffer for a flow that has to wait. */
  keep(buffer: Uint8Array, from: number, to: number): Uint8Array {
    const rest = buffer.buffer === this.#large.buffer ? buffer.slice(from, to) : buffer.subarray(from, to);
    this.#kept += rest.length;
    return rest;
  }

  /** Something that was kept is needed no longer. */
  drop(rest: Uint8Array): void {
    this.#kept -= rest.length;
  }

  /** An empty pipe; `null` where none is to be had. */
  takePipe(): Pipe | null {
    const spare = this.#spare.pop();
    if (spare !== undefined) return spare;
    const made = this.#libc.pipe(SOCK_NONBLOCK | SOCK_CLOEXEC);
    return typeof made === "number" ? null : made;
  }

  /** Takes a pipe back. */
  givePipe(pipe: Pipe, empty: boolean): void {
    if (empty && this.#spare.length < SPARE_PIPES) this.#spare.push(pipe);
    else this.#close(pipe);
  }

  /** Closes the pipes that nobody uses. */
  end(): void {
    for (const pipe of this.#spare) this.#close(pipe);
    this.#spare = [];
  }

  #close([read, write]: Pipe): void {
    this.#libc.close(read);
    this.#libc.close(write);
  }
}
