/**
 * The same scenarios on a plain `net.Socket` over TCP, on ours over MPTCP, and on a plain one that `./auto` lets speak MPTCP:
 * what can be seen must be the same.
 */
import { assert, assertEquals } from "@std/assert";
import { once } from "node:events";
import { BlockList, Socket, type SocketConstructorOpts, type TcpSocketConnectOpts } from "node:net";
import process from "node:process";
import { describe, it } from "node:test";
import { system } from "../../ffi/mod.ts";
import { replaceConnect } from "../../node/auto/clients.ts";
import { MptcpSocket } from "../../node/mod.ts";
import { readAll, text, utf8 } from "../net/pair.ts";
import { closing, noteData, type Run, type Scenario, stateOf, transcript } from "./transcript.ts";

const runtime = process.versions["deno"] ? "deno" : process.versions["bun"] ? "bun" : "node";

const HOST = "127.0.0.1";

/** `net.Socket` passes the signal that its constructor got; types do not know all that it takes. */
type Options = SocketConstructorOpts & Record<string, unknown>;

/** @param expected What must be among it, so that it is known to have happened at all. */
async function same(scenario: Scenario, options: Options = {}, hostname = HOST, expected = ""): Promise<void> {
  const tcp = await transcript(() => new Socket(options), "off", scenario, hostname);
  const mptcp = await transcript(() => new MptcpSocket(options), "require", scenario, hostname);
  assertEquals(mptcp, tcp);
  const undo = replaceConnect(system()!);
  try {
    assertEquals(await transcript(() => new Socket(options), "require", scenario, hostname), tcp, "under auto");
  } finally {
    undo();
  }
  assert(tcp.some((line) => line.includes(expected)), tcp.join("\n"));
}

/** Answers as the scenario says, when the server has accepted. */
function serve(run: Run, answer: (conn: Awaited<Run["accepted"]>) => unknown): void {
  run.accepted.then(answer).catch(() => {});
}

const failing = (target: Partial<TcpSocketConnectOpts>): Scenario => ({ socket }) => {
  socket.connect({ port: 1, host: HOST, ...target });
};

type Found = { address: string; family: number }[];

/** A resolver that knows all. */
function finding(found: Found): NonNullable<TcpSocketConnectOpts["lookup"]> {
  return ((_host: string, options: { all?: boolean }, done: (error: null, ...found: unknown[]) => void) => {
    if (options.all) done(null, found);
    else done(null, found[0]!.address, found[0]!.family);
  }) as NonNullable<TcpSocketConnectOpts["lookup"]>;
}

const BOTH = [{ address: "::1", family: 6 }, { address: HOST, family: 4 }];

describe("as net.Socket: connects", () => {
  for (const hostname of [HOST, "::1"]) {
    it(`to ${hostname}, writes, reads, ends`, async () => {
      await same(
        (run) => {
          noteData(run);
          serve(run, async (conn) => {
            await conn.write(await readAll(conn));
            await conn.closeWrite();
          });
          run.socket.connect(run.port, hostname, () => run.note("told"));
          run.socket.end("hello");
        },
        {},
        hostname,
        "data hello",
      );
    });
  }

  it("by name, by the runtime's resolver", () =>
    same((run) => {
      run.socket.connect({ port: run.port, host: "localhost", family: 4 }, () => run.socket.end());
      run.socket.resume();
      serve(run, async (conn) => {
        await readAll(conn);
        await conn.closeWrite();
      });
    }));

  it("by a resolver of one's own", () =>
    same((run) => {
      const target = { port: run.port, host: "a.test", lookup: finding([{ address: HOST, family: 4 }]) };
      run.socket.connect(target, () => run.socket.destroy());
    }));

  it("after another address was refused", () =>
    same((run) => {
      run.socket.connect({ port: run.port, host: "a.test", lookup: finding(BOTH) }, () => {
        run.note(run.socket.autoSelectFamilyAttemptedAddresses);
        run.socket.destroy();
      });
    }));

  it("to the first address only, without autoSelectFamily", () =>
    same((run) => {
      const lookup = finding([...BOTH].reverse());
      run.socket.connect({ port: run.port, host: "a.test", lookup, autoSelectFamily: false }, () => run.socket.destroy());
    }));

  it("asks a resolver of one's own for what was asked for", () =>
    same((run) => {
      const lookup = ((host: string, options: Record<string, unknown>, done: (error: Error) => void) => {
        run.note(host, options);
        done(Object.assign(new Error("not today"), { code: "ENOTFOUND" }));
      }) as unknown as NonNullable<TcpSocketConnectOpts["lookup"]>;
      run.socket.connect({ port: run.port, host: "a.test", lookup, family: 6, hints: 0 });
    }));

  it("again, when it is closed", () =>
    same(async (run) => {
      run.socket.connect(1, HOST);
      await closing(run.socket);
      run.socket.connect(run.port, HOST, () => run.socket.end("again"));
      run.socket.resume();
      const conn = await run.accepted;
      run.note(text(await readAll(conn)));
      await conn.closeWrite();
      await closing(run.socket);
    }));

  it("from an address of one's own", () =>
    same((run) => {
      run.socket.connect({ port: run.port, host: HOST, localAddress: "127.0.0.3" }, () => {
        run.note(run.socket.localAddress);
        run.socket.destroy();
      });
    }));

  it("tells of itself at every stage", () =>
    same(async (run) => {
      const { socket, note } = run;
      note("new", stateOf(socket));
      serve(run, async (conn) => {
        await conn.write(utf8("welcome"));
        await conn.closeWrite();
        await readAll(conn);
      });
      for (const name of ["connect", "ready", "end", "finish", "close"]) socket.on(name, () => note(name, stateOf(socket)));
      socket.connect(run.port, HOST);
      note("connecting", stateOf(socket), socket.address());
      socket.write("early");
      note("written", stateOf(socket));
      socket.resume();
      await closing(socket);
      note(socket.address());
    }));
});

describe("as net.Socket: fails to connect", () => {
  it("refused", () => same(failing({})));
  it("refused over IPv6", () => same(failing({ host: "::1" })));
  it("refused from a port of one's own", () => same(failing({ localPort: 45557 })));
  it("refused by all addresses", () => same(failing({ host: "a.test", lookup: finding(BOTH) })));
  it("to a name that does not exist", () => same(failing({ host: "no-such-host.invalid" })));

  it("from an address that is not ours", async () => {
    const lines = await transcript(() => new MptcpSocket(), "require", failing({ localAddress: "192.0.2.1" }));
    // Deno says EINVAL, Bun names the wrong call; Node's is right.
    assertEquals(lines[0]!.includes("bind EADDRNOTAVAIL 192.0.2.1"), true, lines.join("\n"));
    if (runtime === "node") await same(failing({ localAddress: "192.0.2.1" }));
  });

  it("to an address that is blocked", () => {
    const blockList = new BlockList();
    blockList.addAddress(HOST);
    return same(failing({}), { blockList });
  });

  for (
    const [what, wrong] of Object.entries<Record<string, unknown>>({
      "no port": { port: undefined },
      "a port too large": { port: 70000 },
      "a port that is no number": { port: "http" },
      "a host that is no name": { host: 1 },
      "a localAddress that is no address": { localAddress: "here" },
      "a localPort that is no number": { localPort: "12" },
      "a lookup that is no function": { lookup: "dns", host: "a.test" },
      "an autoSelectFamily that is no boolean": { autoSelectFamily: "yes" },
    })
  ) {
    it(`with ${what}`, () =>
      same(
        ({ socket, note }) => {
          try {
            socket.connect({ port: 1, host: HOST, ...wrong });
          } catch (error) {
            note((error as Error).name, (error as { code?: string }).code, (error as Error).message);
          }
          socket.destroy();
        },
        {},
        HOST,
        "ERR_",
      ));
  }
});

describe("as net.Socket: is destroyed", () => {
  it("before it begins to connect", () =>
    same(({ socket, port }) => {
      socket.connect(port, HOST);
      socket.destroy();
    }));

  it("with an error of one's own", () =>
    same(({ socket, port }) => {
      socket.connect(port, HOST, () => socket.destroy(new Error("enough")));
    }));

  it("while the resolver works", () =>
    same(({ socket, port }) => {
      const lookup = ((_host: string, _options: unknown, done: (...found: unknown[]) => void) => {
        socket.destroy();
        setTimeout(() => done(null, [{ address: HOST, family: 4 }]), 5);
      }) as unknown as NonNullable<TcpSocketConnectOpts["lookup"]>;
      socket.connect({ port, host: "a.test", lookup });
    }));

  it("in the next tick", () =>
    same(({ socket, port }) => {
      socket.connect(port, HOST);
      process.nextTick(() => socket.destroy());
    }));

  it("with a reset", () =>
    same(async ({ socket, port, accepted, note }) => {
      socket.connect(port, HOST);
      const conn = await accepted;
      if (socket.connecting) await once(socket, "connect");
      const closed = closing(socket);
      socket.resetAndDestroy();
      await closed;
      note(await conn.read(new Uint8Array(1)).catch((error) => error.code));
    }));

  it("while writes wait", () =>
    same(({ socket, port, note }) => {
      socket.write("never", (error) => note("written", error?.name, (error as { code?: string } | null)?.code));
      socket.connect(port, HOST);
      socket.destroy();
    }));
});

describe("as net.Socket: reads and writes", () => {
  it("what the server says first, and its end", () =>
    same((run) => {
      noteData(run);
      serve(run, async (conn) => {
        await conn.write(utf8("hello"));
        await conn.closeWrite();
      });
      run.socket.connect(run.port, HOST);
    }));

  it("half-open, where that is allowed", () =>
    same(async (run) => {
      noteData(run);
      run.socket.connect(run.port, HOST);
      const conn = await run.accepted;
      await conn.closeWrite();
      await once(run.socket, "end");
      run.note(stateOf(run.socket));
      // Deno's own sockets fail to write here when the peer has not sent anything.
      run.socket.end();
      run.note(text(await readAll(conn)));
    }, { allowHalfOpen: true }));

  it("tells of a reset by the peer", () =>
    same(async (run) => {
      run.socket.connect(run.port, HOST);
      await once(run.socket, "connect");
      run.socket.resume();
      (await run.accepted).reset();
      await closing(run.socket);
    }));

  it("nothing while it is paused", () =>
    same(async (run) => {
      run.socket.pause();
      let count = 0;
      run.socket.on("data", (chunk) => count += chunk.length);
      run.socket.connect(run.port, HOST);
      const conn = await run.accepted;
      await conn.write(utf8("hello"));
      if (run.socket.connecting) await once(run.socket, "connect");
      run.note(count, run.socket.isPaused());
      run.socket.resume();
      await conn.closeWrite();
      await once(run.socket, "end");
      run.note(count);
    }));

  it("into a buffer of one's own", () => {
    const buffer = new Uint8Array(4);
    const got: number[] = [];
    return same(async (run) => {
      got.length = 0;
      run.socket.connect(run.port, HOST);
      const conn = await run.accepted;
      await conn.write(utf8("12345678"));
      await conn.closeWrite();
      await once(run.socket, "end");
      run.note(got);
    }, {
      onread: {
        buffer,
        callback: (count: number) => {
          got.push(count);
          return true;
        },
      },
    });
  });

  it("text", () =>
    same(async (run) => {
      run.socket.setEncoding("utf8");
      run.socket.on("data", (chunk: unknown) => run.note(typeof chunk, chunk));
      run.socket.connect(run.port, HOST);
      const conn = await run.accepted;
      await conn.write(utf8("grüß"));
      await conn.closeWrite();
    }));

  it("in order, corked or not, each write told", () =>
    same(async (run) => {
      const { socket, note } = run;
      const told: string[] = [];
      socket.cork();
      for (const word of ["a", "b", "c"]) socket.write(word, () => told.push(word));
      socket.connect(run.port, HOST, () => note("told"));
      socket.uncork();
      socket.end("d", () => told.push("d"));
      socket.resume();
      const conn = await run.accepted;
      note(text(await readAll(conn)));
      await conn.closeWrite();
      await closing(socket);
      note(told);
    }));

  it("more than buffers hold", () =>
    same(async (run) => {
      const { socket, note } = run;
      const size = 8 << 20;
      socket.connect(run.port, HOST);
      note(socket.write(new Uint8Array(size)));
      socket.end();
      socket.resume();
      const conn = await run.accepted;
      note((await readAll(conn)).length);
      await conn.closeWrite();
      await closing(socket);
      note(socket.bytesWritten);
    }));

  it("nothing for a while, and says so", () =>
    same((run) => {
      run.socket.setTimeout(20, () => run.socket.destroy());
      run.socket.connect(run.port, HOST);
    }));
});

describe("as net.Socket: options", () => {
  const options = (chosen: Options, before: (socket: Socket) => void = () => {}) =>
    same(({ socket, port, note }) => {
      before(socket);
      socket.connect(port, HOST, () => {
        const handle = socket instanceof MptcpSocket ? socket.mptcp : null;
        // What plain sockets have cannot be asked on all runtimes: it is what was asked for.
        note(handle === null ? 1 : handle.getOption(6, 1), handle === null ? 1 : handle.getOption(1, 9));
        socket.destroy();
      });
    }, chosen);

  it("of the constructor: noDelay, keepAlive", () =>
    options({ noDelay: true, keepAlive: true, keepAliveInitialDelay: 5000 }));
  it("set before connecting", () =>
    options({}, (socket) => {
      socket.setNoDelay(true);
      socket.setKeepAlive(true, 5000);
    }));
});
