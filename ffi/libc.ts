/**
 * The system calls that the package makes, safe to call: a length is always the length of the bytes given, a descriptor
 * is always a number that can be one. Every call gives its result, or `-errno`; `kernel/error.ts` makes errors of those.
 *
 * @module
 */
import { F_DUPFD_CLOEXEC, MSG_DONTWAIT, MSG_NOSIGNAL, POLLOUT, SO_LINGER, SOL_SOCKET } from "../kernel/constants.ts";
import { EALREADY, EBADF, EINPROGRESS, EINVAL } from "../kernel/errno.ts";
import { EVENT_SIZE } from "./epoll_event.ts";
import type { RawCalls } from "./symbols.ts";

const BAD_FD = -EBADF;
/** No single call moves more: so that a `ssize_t` always fits in 32 bits. */
const MAX_IO = 1 << 30;

const isFd = (fd: number): boolean => (fd | 0) === fd && fd >= 0;

/** `struct linger { int l_onoff = 1; int l_linger = 0; }` */
const LINGER_RESET = new Uint8Array(new Int32Array([1, 0]).buffer);

/** The bytes of `text` with the closing NUL of a C string. */
export function cString(text: string): Uint8Array {
  return new TextEncoder().encode(`${text}\0`);
}

/** libc, opened. */
export class Libc {
  readonly #raw: RawCalls;
  readonly #addressOf: (bytes: Uint8Array) => bigint;
  /** One `socklen_t` for all calls: they are synchronous, so nobody else can hold it. */
  readonly #length = new Int32Array(16);
  readonly #int = new Int32Array(16);

  /**
   * @param raw The bound symbols.
   * @param addressOf The runtime's way to a buffer's address.
   */
  constructor(raw: RawCalls, addressOf: (bytes: Uint8Array) => bigint) {
    this.#raw = raw;
    this.#addressOf = addressOf;
  }

  /** The address of the first byte, for structs that hold pointers. The array must outlive the call that uses it. */
  addressOf(bytes: Uint8Array): bigint {
    return this.#addressOf(bytes);
  }

  socket(family: number, type: number, protocol: number): number {
    return this.#raw.socket(family, type, protocol);
  }

  bind(fd: number, address: Uint8Array): number {
    return isFd(fd) ? this.#raw.bind(fd, address, address.length) : BAD_FD;
  }

  listen(fd: number, backlog: number): number {
    return isFd(fd) ? this.#raw.listen(fd, backlog) : BAD_FD;
  }

  /**
   * Begins to connect: 0 when it is done, `-EINPROGRESS` when it is under way.
   *
   * A non-blocking connect always says that it is under way at first, also to a peer on the same host, which has answered by
   * then. Asked again, the kernel says so, and a wait is saved.
   */
  connect(fd: number, address: Uint8Array): number {
    if (!isFd(fd)) return BAD_FD;
    const result = this.#raw.connect(fd, address, address.length);
    if (result !== -EINPROGRESS) return result;
    const again = this.#raw.connect(fd, address, address.length);
    return again === -EALREADY ? -EINPROGRESS : again;
  }

  /** Accepts without telling the peer's address: `getpeername` is asked when somebody wants it. */
  accept(fd: number, flags: number): number {
    return isFd(fd) ? this.#raw.accept4(fd, null, null, flags) : BAD_FD;
  }

  shutdown(fd: number, how: number): number {
    return isFd(fd) ? this.#raw.shutdown(fd, how) : BAD_FD;
  }

  close(fd: number): number {
    return isFd(fd) ? this.#raw.close(fd) : BAD_FD;
  }

  /** A second descriptor of the same open file, closed on exec as all of ours are. */
  dup(fd: number): number {
    return isFd(fd) ? this.#raw.fcntl(fd, F_DUPFD_CLOEXEC, 0) : BAD_FD;
  }

  /** Puts a second descriptor of `fd`'s open file in the place of `place`, whose own file it closes, in one step. */
  dup3(fd: number, place: number, flags: number): number {
    return isFd(fd) && isFd(place) ? this.#raw.dup3(fd, place, flags) : BAD_FD;
  }

  /** Sends what the kernel takes at once. */
  send(fd: number, bytes: Uint8Array): number {
    if (!isFd(fd)) return BAD_FD;
    return this.#raw.send(fd, bytes, Math.min(bytes.length, MAX_IO), MSG_DONTWAIT | MSG_NOSIGNAL);
  }

  /** Receives what is there, 0 at the end of the stream. */
  recv(fd: number, bytes: Uint8Array): number {
    if (!isFd(fd)) return BAD_FD;
    return this.#raw.recv(fd, bytes, Math.min(bytes.length, MAX_IO), MSG_DONTWAIT);
  }

  /**
   * Reads an option's bytes.
   *
   * @returns How many bytes the kernel wrote.
   */
  getsockopt(fd: number, level: number, name: number, value: Uint8Array): number {
    if (!isFd(fd)) return BAD_FD;
    this.#length[0] = value.length;
    const result = this.#raw.getsockopt(fd, level, name, value.length === 0 ? null : value, this.#length);
    return result < 0 ? result : this.#length[0]!;
  }

  /** Reads an `int` option that is never negative, such as SO_ERROR: what is negative is `-errno` of the call. */
  getInt(fd: number, level: number, name: number): number {
    if (!isFd(fd)) return BAD_FD;
    this.#length[0] = 4;
    this.#int[0] = 0;
    const result = this.#raw.getsockopt(fd, level, name, this.#int, this.#length);
    return result < 0 ? result : this.#int[0]!;
  }

  setsockopt(fd: number, level: number, name: number, value: Uint8Array): number {
    return isFd(fd) ? this.#raw.setsockopt(fd, level, name, value, value.length) : BAD_FD;
  }

  setInt(fd: number, level: number, name: number, value: number): number {
    if (!isFd(fd)) return BAD_FD;
    this.#int[0] = value;
    return this.#raw.setsockopt(fd, level, name, this.#int, 4);
  }

  /** Makes `close` abort the connection. */
  resetOnClose(fd: number): number {
    return this.setsockopt(fd, SOL_SOCKET, SO_LINGER, LINGER_RESET);
  }

  /** Fills `address` with our end's sockaddr and gives its length. */
  getsockname(fd: number, address: Uint8Array): number {
    return this.#name(this.#raw.getsockname, fd, address);
  }

  /** Fills `address` with the peer's sockaddr and gives its length. */
  getpeername(fd: number, address: Uint8Array): number {
    return this.#name(this.#raw.getpeername, fd, address);
  }

  #name(call: RawCalls["getsockname"], fd: number, address: Uint8Array): number {
    if (!isFd(fd)) return BAD_FD;
    this.#length[0] = address.length;
    const result = call(fd, address, this.#length);
    return result < 0 ? result : Math.min(this.#length[0]!, address.length);
  }

  /** The index of a network interface, 0 when there is none of that name. */
  ifIndex(name: string): number {
    // IFNAMSIZ is 16, the NUL included: nothing longer can exist.
    const bytes = cString(name);
    return bytes.length > 16 ? 0 : this.#raw.if_nametoindex(bytes);
  }

  /** Opens a file by its absolute path. */
  open(path: string, flags: number): number {
    if (!path.startsWith("/") || path.includes("\0")) return -EINVAL;
    return this.#raw.open(cString(path), flags);
  }

  read(fd: number, bytes: Uint8Array): number {
    return isFd(fd) ? this.#raw.read(fd, bytes, Math.min(bytes.length, MAX_IO)) : BAD_FD;
  }

  write(fd: number, bytes: Uint8Array): number {
    return isFd(fd) ? this.#raw.write(fd, bytes, Math.min(bytes.length, MAX_IO)) : BAD_FD;
  }

  /**
   * bpf(2).
   *
   * @param number The system call's number on this machine.
   * @param attr `union bpf_attr`; what it points to must outlive the call.
   */
  bpf(number: number, command: number, attr: Uint8Array): number {
    return this.#raw.syscall(number, command, attr, attr.length);
  }

  /** Waits for the lock of an open file: hold it for moments only, as the whole process waits. */
  flock(fd: number, operation: number): number {
    return isFd(fd) ? this.#raw.flock(fd, operation) : BAD_FD;
  }

  eventfd(flags: number): number {
    return this.#raw.eventfd(0, flags);
  }

  epollCreate(flags: number): number {
    return this.#raw.epoll_create1(flags);
  }

  /** `event` is a packed `struct epoll_event` of 12 bytes (x86-64) or 16 (others); see `epoll_event.ts`. */
  epollCtl(epoll: number, operation: number, fd: number, event: Uint8Array): number {
    if (!isFd(epoll) || !isFd(fd) || event.length < 16) return BAD_FD;
    return this.#raw.epoll_ctl(epoll, operation, fd, event);
  }

  /**
   * Waits for events, and with it the whole thread.
   *
   * @param events Room for events of `EVENT_SIZE` bytes each.
   * @param timeout In ms; -1 for none.
   * @returns How many events came.
   */
  epollWait(epoll: number, events: Uint8Array, timeout: number): number {
    const room = Math.floor(events.length / EVENT_SIZE);
    return isFd(epoll) && room > 0 ? this.#raw.epoll_pwait(epoll, events, room, timeout, null) : BAD_FD;
  }

  /** Whether a write would find room, or an error: poll(2) for POLLOUT, without waiting. */
  isWritable(fd: number): boolean {
    if (!isFd(fd)) return true;
    // `struct pollfd { int fd; short events; short revents; }`
    const descriptor = new Int32Array([fd, POLLOUT]);
    return this.#raw.poll(new Uint8Array(descriptor.buffer), 1, 0) !== 0;
  }

  /** A pipe: the end to read from and the end to write to, or `-errno`. */
  pipe(flags: number): readonly [read: number, write: number] | number {
    const ends = new Int32Array(2);
    const result = this.#raw.pipe2(ends, flags);
    return result < 0 ? result : [ends[0]!, ends[1]!];
  }

  /** Moves bytes from one descriptor to another, of which one is a pipe's end, without their coming here. */
  splice(from: number, to: number, length: number, flags: number): number {
    if (!isFd(from) || !isFd(to)) return BAD_FD;
    return this.#raw.splice(from, null, to, null, Math.min(length, MAX_IO), flags);
  }
}
