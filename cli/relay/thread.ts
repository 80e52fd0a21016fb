/**
 * A relaying thread: accepts, connects, and moves bytes, all in its own event loop.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { parentPort, workerData } from "node:worker_threads";
import { type Libc, system } from "../../ffi/mod.ts";
import {
  EPOLLET,
  EPOLLEXCLUSIVE,
  EPOLLIN,
  IPPROTO_TCP,
  SO_KEEPALIVE,
  SO_PROTOCOL,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOL_SOCKET,
  TCP_NODELAY,
} from "../../kernel/constants.ts";
import { EAGAIN, EINTR, errnoName, ETIMEDOUT } from "../../kernel/errno.ts";
import { systemError } from "../../kernel/error.ts";
import { decodeSockaddr, SOCKADDR_STORAGE_SIZE } from "../../kernel/sockaddr.ts";
import { isMptcp } from "../../paths/connection.ts";
import { AddressList } from "./address_list.ts";
import { BufferPool } from "./buffers.ts";
import { Dial } from "./dial.ts";
import { Side } from "./flow.ts";
import { Greeting } from "./greeting.ts";
import {
  AT,
  type Refusal,
  type ResolvedTarget,
  type ThreadCommand,
  type ThreadConfig,
  type ThreadMessage,
} from "./messages.ts";
import { Pair, type PairHost } from "./pair.ts";
import { type Handler, Poller, STREAM_EVENTS } from "./poller.ts";

/** How many connections are accepted before others have their turn. */
const ACCEPT_BATCH = 64;
/** How often deadlines are looked at, where there are any, ms. */
const TICK = 250;
/** Trouble is told at most so often, ms. */
const TROUBLE_EVERY = 5000;

class RelayThread implements PairHost {
  readonly libc: Libc;
  readonly poller: Poller;
  readonly buffers: BufferPool;
  readonly counters: Float64Array;
  readonly mptcp: boolean;
  now = performance.now();
  readonly #config: ThreadConfig;
  readonly #tell: (message: ThreadMessage) => void;
  readonly #allowed: AddressList | null;
  readonly #pairs = new Set<Pair>();
  readonly #dials = new Set<Dial>();
  /** Clients of the proxy that have not told their wishes, or have not got an answer. */
  readonly #greetings = new Set<Greeting>();
  /** Those of them whose target is being looked up. */
  readonly #asked = new Map<number, Greeting>();
  #target: ResolvedTarget | null;
  #queue: Pair[] = [];
  /** Connections may wait at the listener, of which no event will tell any more. */
  #acceptAgain = false;
  #listening = true;
  #over = false;
  #requests = 0;
  #troubleAt = -Infinity;
  /** 0: at once. */
  #nextTick = -1;
  #partial = "";
  readonly #commandBytes = new Uint8Array(1 << 16);

  constructor(libc: Libc, config: ThreadConfig, tell: (message: ThreadMessage) => void) {
    this.libc = libc;
    this.poller = new Poller(libc);
    this.buffers = new BufferPool(libc);
    this.counters = new Float64Array(config.counters);
    this.mptcp = config.mptcp;
    this.#config = config;
    this.#tell = tell;
    this.#target = config.target;
    this.#allowed = config.allow === null ? null : new AddressList(config.allow);
  }

  /** Relays until it is told to end. */
  run(): void {
    const { commands, listener } = this.#config;
    const commanded: Handler = { ready: () => this.#readCommands() };
    const knocked: Handler = { ready: () => this.#accept() };
    this.poller.add(commands, EPOLLIN, commanded);
    // Of several threads one is woken for each connection.
    this.poller.add(listener, EPOLLIN | EPOLLET | EPOLLEXCLUSIVE, knocked);
    while (!this.#over) {
      this.poller.turn(this.#timeout());
      this.now = performance.now();
      const queue = this.#queue;
      this.#queue = [];
      for (const pair of queue) pair.pump();
      if (this.now >= this.#nextTick) this.#tick();
      if (!this.#listening && this.#pairs.size === 0 && this.#dials.size === 0) this.#over = true;
    }
    this.#end();
  }

  #timeout(): number {
    if (this.#queue.length > 0 || this.#nextTick === 0) return 0;
    const deadlines = this.#acceptAgain || this.#dials.size > 0 || this.#greetings.size > 0 ||
      (this.#config.idle > 0 && this.#pairs.size > 0);
    return deadlines ? TICK : -1;
  }

  #tick(): void {
    this.#nextTick = this.now + TICK;
    if (this.#acceptAgain) this.#accept();
    for (const dial of this.#dials) if (this.now >= dial.deadline) dial.cancel();
    for (const greeting of this.#greetings) if (this.now >= greeting.deadline) this.#drop(greeting);
    const { idle } = this.#config;
    if (idle === 0) return;
    for (const pair of this.#pairs) {
      if (this.now - pair.active < idle) continue;
      this.counters[AT.idle]!++;
      pair.close();
    }
  }

  #end(): void {
    for (const pair of this.#pairs) pair.abort();
    for (const dial of this.#dials) dial.cancel();
    this.#stop();
    this.buffers.end();
    this.poller.end();
    this.libc.close(this.#config.commands);
  }

  /** Accepts no more. */
  #stop(): void {
    if (!this.#listening) return;
    this.#listening = false;
    this.#acceptAgain = false;
    this.poller.remove(this.#config.listener);
    this.libc.close(this.#config.listener);
    for (const greeting of this.#greetings) this.#drop(greeting);
  }

  #accept(): void {
    if (!this.#listening) return;
    this.#acceptAgain = false;
    for (let count = 0; count < ACCEPT_BATCH; count++) {
      const fd = this.libc.accept(this.#config.listener, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd >= 0) {
        this.#accepted(fd);
        continue;
      }
      if (fd === -EAGAIN) return;
      if (fd === -EINTR || errnoName(fd) === "ECONNABORTED") continue;
      // Out of descriptors or memory: those who wait are looked at again by the next tick.
      this.#acceptAgain = true;
      return this.#trouble(systemError(fd, "accept").message);
    }
    this.#acceptAgain = true;
    this.#nextTick = 0;
  }

  #accepted(fd: number): void {
    this.counters[AT.accepted]!++;
    if (this.#allowed !== null && !this.#allowed.has(this.#peer(fd))) {
      this.counters[AT.refused]!++;
      return this.#refuse(fd);
    }
    this.#tune(fd);
    if (this.#target !== null) return this.#dial(fd, this.#target, null);
    const greeting: Greeting = new Greeting(this.libc, fd, this.#config.credentials, {
      wants: (hostname, port) => {
        const id = ++this.#requests;
        this.#asked.set(id, greeting);
        this.#tell({ type: "resolve", id, hostname, port });
      },
      refused: () => {
        this.counters[AT.refused]!++;
        this.#drop(greeting);
      },
      gone: () => this.#drop(greeting),
    }, this.now + this.#config.timeout);
    this.#greetings.add(greeting);
    try {
      this.poller.add(fd, STREAM_EVENTS, greeting);
    } catch (error) {
      this.#trouble((error as Error).message);
      this.#drop(greeting);
    }
  }

  /** Ends with a client of the proxy that gets no connection. */
  #drop(greeting: Greeting): void {
    if (this.#greetings.delete(greeting)) this.poller.close(greeting.fd);
  }

  #peer(fd: number): string {
    const bytes = new Uint8Array(SOCKADDR_STORAGE_SIZE);
    const length = this.libc.getpeername(fd, bytes);
    return length < 0 ? "" : decodeSockaddr(bytes, 0, length)?.hostname ?? "";
  }

  /** Bytes go on as they come; and a peer that has vanished is noticed at some time. */
  #tune(fd: number): void {
    this.libc.setInt(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    this.libc.setInt(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  }

  #refuse(fd: number): void {
    this.libc.resetOnClose(fd);
    this.poller.close(fd);
  }

  /** Connects a client to its target; a proxy's client is told what became of it. */
  #dial(client: number, target: ResolvedTarget, greeting: Greeting | null): void {
    const dial: Dial = new Dial(this, target, this.now + this.#config.timeout, (result) => {
      this.#dials.delete(dial);
      if (greeting !== null) this.#greetings.delete(greeting);
      if (result >= 0) {
        if (greeting === null || greeting.answer("connected")) return this.#join(client, result, greeting);
        this.poller.close(result);
        return this.#refuse(client);
      }
      this.counters[AT.failed]!++;
      const { addresses, port } = target;
      const reason = result === -ETIMEDOUT ? "no answer in time" : systemError(result, "connect").message;
      this.#trouble(`${addresses[0] ?? "the target"} port ${port} was not reached: ${reason}`);
      if (greeting === null) return this.#refuse(client);
      greeting.answer(errnoName(result) as `E${string}`);
      this.poller.close(client);
    });
    this.#dials.add(dial);
    dial.start();
  }

  #join(client: number, target: number, greeting: Greeting | null): void {
    const { counters } = this;
    counters[AT.connected]!++;
    counters[AT.open]!++;
    this.#tune(target);
    if (isMptcp(client)) counters[AT.acceptedMptcp]!++;
    if (this.mptcp && isMptcp(target)) counters[AT.connectedMptcp]!++;
    const pair = new Pair(
      this,
      new Side(client, this.#isPlain(client)),
      new Side(target, !this.mptcp),
      greeting?.early ?? null,
    );
    this.#pairs.add(pair);
    const [clientHandler, targetHandler] = pair.handlers();
    try {
      if (greeting !== null) this.poller.change(client, STREAM_EVENTS, clientHandler);
      else this.poller.add(client, STREAM_EVENTS, clientHandler);
      this.poller.change(target, STREAM_EVENTS, targetHandler);
    } catch (error) {
      // The kernel has no room for another watch.
      this.#trouble((error as Error).message);
      return pair.abort();
    }
    // Something may be there already, and then the first event is saved.
    pair.pump();
  }

  /** An MPTCP socket that fell back is one still; a client that never spoke MPTCP has got one of plain TCP. */
  #isPlain(fd: number): boolean {
    return this.libc.getInt(fd, SOL_SOCKET, SO_PROTOCOL) === IPPROTO_TCP;
  }

  again(pair: Pair): void {
    this.#queue.push(pair);
  }

  over(pair: Pair): void {
    this.#pairs.delete(pair);
    this.counters[AT.open]!--;
    if (this.#acceptAgain) this.#nextTick = 0;
  }

  #trouble(message: string): void {
    if (this.now - this.#troubleAt < TROUBLE_EVERY) return;
    this.#troubleAt = this.now;
    this.#tell({ type: "trouble", message });
  }

  #readCommands(): void {
    const count = this.libc.read(this.#config.commands, this.#commandBytes);
    if (count === -EAGAIN || count === -EINTR) return;
    if (count <= 0) {
      // The main thread is gone.
      this.#over = true;
      return;
    }
    const lines = (this.#partial + Buffer.from(this.#commandBytes.buffer, 0, count).toString("latin1")).split("\n");
    this.#partial = lines.pop()!;
    for (const line of lines) this.#obey(JSON.parse(line) as ThreadCommand);
  }

  #obey(command: ThreadCommand): void {
    switch (command.type) {
      case "target":
        this.#target = command.target;
        break;
      case "resolved":
        this.#resolved(command.id, command.addresses, command.refusal);
        break;
      case "stop":
        this.#stop();
        break;
      case "end":
        this.#over = true;
    }
  }

  #resolved(id: number, addresses: string[], refusal: Refusal | undefined): void {
    const greeting = this.#asked.get(id);
    this.#asked.delete(id);
    if (greeting === undefined || !this.#greetings.has(greeting)) return;
    if (refusal === undefined) return this.#dial(greeting.fd, { addresses, port: greeting.port }, greeting);
    this.counters[refusal === "forbidden" ? AT.refused : AT.failed]!++;
    greeting.answer(refusal);
    this.#drop(greeting);
  }
}

if (parentPort !== null) {
  const port = parentPort;
  new RelayThread(system()!.libc, workerData as ThreadConfig, (message) => port.postMessage(message)).run();
  port.postMessage({ type: "ended" } satisfies ThreadMessage);
}
