/**
 * Uses `FtpClient` in a host of a lab, as a test asks: `lab_client.ts SCENARIO HOST PORT USER tls|plain`. It tells what it sees
 * as lines of JSON, and at each of these waits for a line.
 */
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { Readable, Writable } from "node:stream";
import { FtpClient, type FtpClientOptions } from "../../ftp/mod.ts";
import { CERT } from "../ecosystem/certificate.ts";
import { until } from "../lab/until.ts";

/** What is told of a connection that is open. */
export interface Open {
  localPort: number;
  /** The server's port. */
  port: number;
  multipath: boolean;
}

/** What is told of a data connection that is over. */
export interface Over {
  kind: string;
  isMultipath: boolean;
  bytes: number;
  subflows: number;
  fallback: string | null;
}

/** Large enough that neither end's buffers hold what is left when half has gone. */
const SIZE = 12_000_000;
const HALF = SIZE / 2;
/** What may go over one path: a second one comes only after the first bytes. */
const BEGINNING = 100_000;

const [scenario = "", host = "", portText = "", user = "", tls = ""] = process.argv.slice(2);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function tell(what: unknown): Promise<void> {
  process.stdout.write(`${JSON.stringify(what)}\n`);
  await lines.next();
}

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

const content = Buffer.alloc(SIZE);
for (let i = 0; i < SIZE; i += 4) content.writeUInt32LE(Math.imul(i, 0x9e3779b1) >>> 0, i);

/** Waits for the last data connection's second path: on a busy machine all could have gone over one before. */
async function joined({ dataConnections }: FtpClient): Promise<void> {
  await until(() => dataConnections.at(-1) && dataConnections.at(-1)!.subflows.length > 1);
}

/** What the kernel says of the last data connection; its first subflow is the one that it began with. */
async function tellOfData({ dataConnections }: FtpClient): Promise<void> {
  const { local, remote } = await until(() => dataConnections.at(-1)?.subflows[0]);
  const { isMultipath } = dataConnections.at(-1)!;
  await tell({ localPort: local.port, port: remote.port, multipath: isMultipath } satisfies Open);
}

const over = (client: FtpClient): Over[] =>
  client.dataConnections.map(({ kind, isMultipath, bytes, subflows, fallback }) => {
    return { kind, isMultipath, bytes, subflows: subflows.length, fallback: fallback?.phase ?? null };
  });

async function access(options: FtpClientOptions = {}): Promise<FtpClient> {
  // A small buffer: what the client does not read stays with the server.
  const client = new FtpClient({ timeout: 10_000, receiveBuffer: 1 << 18, ...options });
  await client.access({
    host,
    port: Number(portText),
    user,
    password: "p",
    secure: tls === "tls",
    secureOptions: { ca: CERT },
  });
  return client;
}

/** Holds an upload and a download half-way, for the test to look at both ends. */
async function transfers(options: FtpClientOptions = {}): Promise<void> {
  using client = await access(options);
  const { control } = client;
  await tell(
    { localPort: control.localAddr.port, port: Number(portText), multipath: control.isMultipath() } satisfies Open,
  );
  const source = Readable.from(async function* () {
    yield content.subarray(0, BEGINNING);
    await joined(client);
    yield content.subarray(BEGINNING, HALF);
    await tellOfData(client);
    yield content.subarray(HALF);
  }());
  await client.uploadFrom(source, "large");
  const hash = createHash("sha256");
  let count = 0;
  const sink = new Writable({
    write(chunk: Uint8Array, _encoding, done) {
      hash.update(chunk);
      const before = count;
      count += chunk.length;
      if (before === 0) joined(client).then(() => done());
      else if (before < HALF && count >= HALF) tellOfData(client).then(() => done());
      else done();
    },
  });
  await client.downloadTo(sink, "large");
  const names = (await client.list()).map(({ name, size }) => `${name} ${size}`);
  await tell({ sent: sha256(content), received: hash.digest("hex"), names, over: over(client) });
}

/** What FTP clients do, one after another. */
async function everyday(folder: string): Promise<unknown> {
  using client = await access({ receiveBuffer: 1 << 20 });
  const file = (name: string) => join(folder, name);
  const small = content.subarray(0, 300_000);
  writeFileSync(file("small"), small);
  const said: Record<string, unknown> = {};

  await client.uploadFrom(file("small"), "small", { localEndInclusive: 99_999 });
  said["size"] = await client.size("small");
  await client.appendFrom(file("small"), "small", { localStart: await client.size("small") });
  writeFileSync(file("back"), small.subarray(0, 1000));
  await client.downloadTo(file("back"), "small", 1000);
  said["resumed"] = sha256(readFileSync(file("back"))) === sha256(small);
  said["recent"] = Math.abs((await client.lastMod("small")).getTime() - Date.now()) < 86_400_000;

  const home = await client.pwd();
  await client.ensureDir("a/b ü");
  said["pwd"] = (await client.pwd()).slice(home === "/" ? 0 : home.length);
  await client.cd(home);
  await client.rename("small", "a/moved");
  await client.uploadFrom(Readable.from([]), "a/empty");
  await client.downloadTo(file("empty"), "a/empty");
  said["empty"] = readFileSync(file("empty")).length;

  mkdirSync(file("tree/deep"), { recursive: true });
  writeFileSync(file("tree/one"), "1");
  writeFileSync(file("tree/deep/two"), "22");
  await client.uploadFromDir(file("tree"), "mirror");
  await client.downloadToDir(file("copy"), "mirror");
  said["mirror"] = readdirSync(file("copy"), { recursive: true }).map(String).sort();
  said["two"] = readFileSync(file("copy/deep/two"), "utf8");
  await client.removeDir("mirror");
  said["left"] = (await client.list()).map(({ name, isDirectory }) => `${name} ${isDirectory}`);
  said["none"] = await client.downloadTo(file("none"), "none").then(String, ({ code }) => code);
  said["untouched"] = readdirSync(folder).includes("none");

  const bytes: number[] = [];
  client.trackProgress((progress) => bytes.push(progress.bytes));
  await client.uploadFrom(Readable.from([content]), "large");
  client.trackProgress();
  said["progress"] = bytes.at(-1);

  for (const [name, abort] of Object.entries(waysToAbort(client))) {
    said[`${name} aborted`] = await abort().then(() => "nothing", ({ name }) => name);
  }
  said["uploaded whole"] = (await client.list()).some(({ name, size }) => name === "cut" && size === SIZE);
  said["closed"] = client.closed;
  said["kinds"] = [...new Set(client.dataConnections.map(({ isMultipath }) => isMultipath))];
  return said;
}

/** An endless source and a sink without end, both for a transfer that is aborted in the middle of its data. */
function waysToAbort(client: FtpClient): Record<string, () => Promise<unknown>> {
  const abort = new AbortController();
  return {
    download: () => {
      const sink = new Writable({ write: (_chunk, _encoding, done) => (client.abort(), done()) });
      return client.downloadTo(sink, "large");
    },
    upload: () => {
      const source = Readable.from(async function* () {
        yield content.subarray(0, HALF);
        abort.abort();
        yield content.subarray(HALF);
      }());
      return client.uploadFrom(source, "cut", { signal: abort.signal });
    },
  };
}

async function fallback(): Promise<void> {
  {
    using client = await access();
    await client.uploadFrom(Readable.from([content]), "large");
    await tell({ control: client.control.isMultipath(), phase: client.control.fallback()?.phase, over: over(client) });
  }
  const refused = await access({ mptcp: "require" }).then(() => null, ({ name, code }) => ({ name, code }));
  await tell({ refused });
}

const folder = mkdtempSync(join(tmpdir(), "mptcp-ftp-"));
try {
  if (scenario === "passive") await transfers();
  else if (scenario === "active") await transfers({ active: true });
  else if (scenario === "everyday") await tell(await everyday(folder));
  else await fallback();
} finally {
  rmSync(folder, { recursive: true });
}
