/**
 * Puts a listening socket of ours in the place of one that the runtime has opened. The runtime's own HTTP server then accepts
 * MPTCP connections as it accepts any other, and nothing of its speed is lost. (No runtime but Node takes a socket from
 * outside for its HTTP server; handing over every single accepted connection costs two thirds of the speed and more.)
 *
 * A runtime knows its listener by two things only: the number of a descriptor, and what it has told epoll to say when that
 * descriptor is ready. So:
 *
 * 1. The runtime's listener is found among the descriptors: it listens, on the port that the runtime says.
 * 2. What epoll was told is read from /proc/self/fdinfo: the events, and the runtime's mark.
 * 3. dup3(2) puts our socket under the number, and closes the runtime's in the same moment; epoll forgets that one by itself.
 * 4. epoll is told the same about the number again.
 * 5. The kernel is asked whether all that has come true.
 *
 * All of it is one synchronous stretch, so the runtime's event loop sees only the outcome. A step that fails throws
 * `Unsuitable`: the runtime is another one than this file knows, and its server is to be closed.
 *
 * @module
 */
import { EVENT, type Libc } from "../ffi/mod.ts";
import {
  EPOLL_CTL_ADD,
  EPOLL_CTL_DEL,
  SO_ACCEPTCONN,
  SO_PROTOCOL,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOL_SOCKET,
} from "../kernel/constants.ts";
import { ENOENT, errnoName } from "../kernel/errno.ts";
import { viewOf } from "../kernel/struct.ts";
import { localAddress } from "../paths/connection.ts";

/** What the takeover is done with. */
export interface Means {
  libc: Libc;
  /** The text of a file; `null` where there is none. */
  readText(path: string): string | null;
}

/** Why a runtime's listener cannot be replaced. */
export class Unsuitable extends Error {
  override readonly name = "Unsuitable";
}

/** What one epoll set was told about a descriptor. */
interface Registration {
  epoll: number;
  events: number;
  data: bigint;
}

/** More descriptors than this are not searched: the search would take longer than a person waits. */
const MAX_SLOTS = 1 << 20;

/** One more than the largest descriptor that the process may have open. */
export function descriptorSlots(readText: Means["readText"]): number {
  const slots = Number(/^FDSize:\s*(\d+)$/m.exec(readText("/proc/self/status") ?? "")?.[1] ?? 0);
  return Math.min(slots, MAX_SLOTS);
}

/** The place of a runtime's listener. See the module's comment. */
export class ListenerPlace {
  readonly #means: Means;
  readonly #fd: number;
  readonly #told: readonly Registration[];
  readonly #epolls: readonly number[];

  /**
   * Finds the place of the listener that the runtime has on a port.
   *
   * @param hostname The address that it is bound to. @default {"127.0.0.1"}
   * @throws {Unsuitable} When there is none, or the runtime does not watch it by epoll.
   */
  static find(means: Means, port: number, hostname = "127.0.0.1"): ListenerPlace {
    const slots = descriptorSlots(means.readText);
    const found: number[] = [];
    for (let fd = 0; fd < slots; fd++) if (listensOn(means.libc, fd, port, hostname)) found.push(fd);
    if (found.length !== 1) throw new Unsuitable(`${found.length} listeners were found instead of the runtime's one`);
    const place = new ListenerPlace(means, found[0]!, epollSets(means.libc, slots));
    if (place.#told.length === 0) throw new Unsuitable("the runtime does not watch its listener by epoll");
    return place;
  }

  /** The descriptor: the runtime's, whatever listens there. */
  get fd(): number {
    return this.#fd;
  }

  private constructor(means: Means, fd: number, epolls: readonly number[]) {
    this.#means = means;
    this.#fd = fd;
    this.#epolls = epolls;
    this.#told = this.#registrations();
  }

  /**
   * Puts a listener into the place. The runtime has a descriptor of its own of it then; `listener` stays the caller's.
   *
   * @throws {Unsuitable} When a step failed. Then nobody may accept in this place: the runtime's server is to be closed.
   */
  put(listener: number): void {
    const { libc } = this.#means;
    const placed = libc.dup3(listener, this.#fd, SOCK_CLOEXEC);
    if (placed < 0) throw new Unsuitable(`dup3 failed (${errnoName(placed)})`);
    // Had somebody else a descriptor of the former one, epoll would go on telling of that one.
    if (this.#registrations().length > 0) throw new Unsuitable("the runtime's listener has another descriptor");
    for (const { epoll, events, data } of this.#told) {
      // Two descriptors may be of one epoll set: then it knows already.
      if (this.#registrations().some((each) => each.epoll === epoll)) continue;
      const event = new Uint8Array(16);
      EVENT.encode(viewOf(event), 0, { events, data });
      const added = libc.epollCtl(epoll, EPOLL_CTL_ADD, this.#fd, event);
      if (added < 0) throw new Unsuitable(`epoll_ctl failed (${errnoName(added)})`);
    }
    this.#verify(listener);
  }

  #verify(listener: number): void {
    const { libc } = this.#means;
    const now = this.#registrations();
    const renewed = now.length === this.#told.length && this.#told.every(({ epoll, events, data }) => {
      return now.some((each) => each.epoll === epoll && each.events === events && each.data === data);
    });
    if (!renewed) throw new Unsuitable("epoll does not watch the listener as the runtime's was watched");
    const protocol = libc.getInt(listener, SOL_SOCKET, SO_PROTOCOL);
    const { hostname, port } = localAddress(listener);
    const there = localAddress(this.#fd);
    const isOurs = protocol > 0 && libc.getInt(this.#fd, SOL_SOCKET, SO_PROTOCOL) === protocol &&
      there.hostname === hostname && there.port === port;
    if (!isOurs || libc.getInt(this.#fd, SOL_SOCKET, SO_ACCEPTCONN) !== 1) {
      throw new Unsuitable("the kernel does not confirm the listener in the runtime's place");
    }
  }

  /** What the epoll sets of the process say about the place now. */
  #registrations(): Registration[] {
    return this.#epolls.flatMap((epoll) => {
      const text = this.#means.readText(`/proc/self/fdinfo/${epoll}`) ?? "";
      return [...text.matchAll(/^tfd:\s*(\d+)\s+events:\s*([0-9a-f]+)\s+data:\s*([0-9a-f]+)/gm)]
        .filter(([, fd]) => Number(fd) === this.#fd)
        .map(([, , events, data]) => ({ epoll, events: parseInt(events!, 16), data: BigInt(`0x${data}`) }));
    });
  }
}

function listensOn(libc: Libc, fd: number, port: number, hostname: string): boolean {
  if (libc.getInt(fd, SOL_SOCKET, SO_ACCEPTCONN) !== 1) return false;
  const address = localAddress(fd);
  return address.port === port && address.hostname === hostname;
}

/**
 * The epoll sets among the descriptors. Asked to forget a descriptor that it never knew, an epoll set says ENOENT, and
 * everything else that it is none.
 */
function epollSets(libc: Libc, slots: number): number[] {
  const unknown = libc.eventfd(SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (unknown < 0) throw new Unsuitable(`eventfd failed (${errnoName(unknown)})`);
  try {
    const sets: number[] = [];
    const nothing = new Uint8Array(16);
    for (let fd = 0; fd < slots; fd++) {
      if (libc.epollCtl(fd, EPOLL_CTL_DEL, unknown, nothing) === -ENOENT) sets.push(fd);
    }
    return sets;
  } finally {
    libc.close(unknown);
  }
}
