/**
 * What `paths.ts` runs on each runtime: prints its times, in milliseconds, as JSON.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { type Conn, connect, connections, listen, PathManager, watch } from "../mod.ts";

/** Times in milliseconds. */
export interface Measured {
  list: number[];
  listBySs: number[];
  event: number[];
  open: number[];
  bare: number[];
  /** One option of one subflow, where there are few sockets, and among 2000. */
  option: number[];
  optionAmongMany: number[];
}

const CONNECTIONS = 500; // both ends are here: 1000 sockets, of which each has two subflows
const EVENTS = 100;
const SUBFLOWS = 40;
const OPTIONS = 50;

const ip = (...args: string[]) => {
  if (spawnSync("ip", args).status !== 0) throw new Error(`ip ${args.join(" ")}`);
};

/** Exchanges a byte, so that both ends are certain of MPTCP. */
async function greet(conn: Conn, other: Conn): Promise<void> {
  const byte = new Uint8Array(1);
  await conn.write(byte);
  await other.read(byte);
  await other.write(byte);
  await conn.read(byte);
}

async function timed(work: () => unknown): Promise<number> {
  const begun = performance.now();
  await work();
  return performance.now() - begun;
}

/** Sets an option of the connection's newest subflow some times. The first time loads the program. */
async function options(conn: Conn): Promise<number[]> {
  const { id } = conn.subflows().at(-1)!;
  const times: number[] = [];
  for (let mark = 1; mark <= OPTIONS; mark++) times.push(await timed(() => conn.setSubflowOption(id, "SO_MARK", mark)));
  return times.slice(1);
}

async function list(): Promise<Pick<Measured, "list" | "listBySs" | "optionAmongMany">> {
  ip("addr", "add", "10.78.0.2/32", "dev", "lo");
  ip("mptcp", "limits", "set", "subflow", "2", "add_addr_accepted", "2");
  ip("mptcp", "endpoint", "add", "10.78.0.2", "dev", "lo", "subflow");
  using listener = listen({ port: 0, backlog: 4096 });
  const conns: Conn[] = [];
  for (let index = 0; index < CONNECTIONS; index++) {
    const [conn, other] = await Promise.all([connect({ port: listener.addr.port }), listener.accept()]);
    await greet(conn, other);
    conns.push(conn, other);
  }
  while (connections().some(({ subflows }) => subflows.length < 2)) await new Promise((resolve) => setTimeout(resolve, 20));
  const result: Pick<Measured, "list" | "listBySs" | "optionAmongMany"> = { list: [], listBySs: [], optionAmongMany: [] };
  for (let turn = 0; turn < 8; turn++) {
    const time = await timed(() => {
      if (connections().length < 2 * CONNECTIONS) throw new Error("Some are missing");
    });
    if (turn > 0) result.list.push(time); // the first one is for warming up
    result.listBySs.push(await timed(() => (spawnSync("ss", ["-HMni"]), spawnSync("ss", ["-Htni"]))));
  }
  result.optionAmongMany = await options(conns[0]!);
  for (const conn of conns) conn.reset();
  ip("mptcp", "endpoint", "flush");
  ip("addr", "del", "10.78.0.2/32", "dev", "lo");
  return result;
}

async function events(): Promise<number[]> {
  const watching = watch();
  const times: number[] = [];
  for (let index = 0; index < EVENTS; index++) {
    const begun = performance.now();
    const { port } = listenAndClose();
    for (;;) {
      const { value } = await watching.next();
      if (value?.type === "listenerCreated" && value.local.port === port) break;
    }
    times.push(performance.now() - begun);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await watching.return!();
  return times.slice(10);
}

function listenAndClose(): { port: number } {
  using listener = listen({ port: 0 });
  return listener.addr;
}

async function subflows(): Promise<Pick<Measured, "open" | "bare" | "option">> {
  ip("mptcp", "limits", "set", "subflow", "8");
  using listener = listen({ port: 0 });
  const { port } = listener.addr;
  const accepted = listener.accept();
  using conn = await connect({ port, paths: "userspace" });
  using other = await accepted;
  await greet(conn, other);
  using paths = PathManager.open();
  const result: Pick<Measured, "open" | "bare"> = { open: [], bare: [] };
  const option = await options(conn);
  const address = "127.0.0.1";
  const alone = async () => {
    while (other.subflows().length > 1 || conn.subflows().length > 1) await new Promise((resolve) => setTimeout(resolve, 1));
  };
  for (let index = 0; index < SUBFLOWS; index++) {
    let id = 0;
    result.open.push(await timed(async () => id = (await conn.openSubflow()).id));
    await conn.closeSubflow(id);
    await alone();
    result.bare.push(
      await timed(() => {
        paths.createSubflow({
          token: conn.token!,
          localAddress: address,
          localId: 0,
          remoteAddress: address,
          remotePort: port,
        });
        while (!conn.subflows().some((each) => each.id !== 1 && each.state === "ESTABLISHED"));
      }),
    );
    await conn.closeSubflow(conn.subflows().at(-1)!.id);
    await alone();
  }
  return { open: result.open.slice(5), bare: result.bare.slice(5), option };
}

const measured: Measured = { ...await list(), event: await events(), ...await subflows() };
console.log(JSON.stringify(measured));
