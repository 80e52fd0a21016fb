/**
 * `mptcp ftp`: lists, downloads, uploads and mirrors, control and data over MPTCP.
 *
 * @module
 */
import process from "node:process";
import { type Command, type Context, JSON_OPTION, UsageError } from "../frame/command.ts";
import { EXIT, Failure } from "../frame/failure.ts";
import { bytesText, rateText } from "../frame/output.ts";
import { baseName, type FtpAddress, ftpAddress, isFtpAddress } from "../ftp/address.ts";
import { MPTCP_OPTIONS, mptcpMode } from "./cat.ts";

/** Where a name and a password may stand unseen. */
const AUTH = "MPTCP_FTP_AUTH";

export const ftp: Command = {
  name: "ftp",
  summary: "list, download, upload and mirror by FTP over several paths",
  usage: "[options] ls URL | get URL [FILE] | put FILE URL | mirror URL DIR | mirror DIR URL",
  about:
    `URL is ftp://[USER@]HOST[:PORT]/PATH, or ftps:// for TLS from the first byte on; PATH begins where the login leads to, with
%2F at the root. Without a user it is anonymous. The password is best in the environment, where other users do not see it:
${AUTH}=USER:PASSWORD. A mirror leaves alone what has the same size already, and removes nothing.`,
  options: [
    { name: "continue", short: "c", summary: "go on with what an earlier transfer left" },
    { name: "force", short: "f", summary: "get: overwrite the file" },
    { name: "tls", summary: "encrypt control and data (explicit TLS)" },
    { name: "insecure", summary: "take any certificate" },
    { name: "active", summary: "let the server connect for data" },
    ...MPTCP_OPTIONS,
    { name: "from", value: "ADDRESS", summary: "the local address to connect from" },
    { name: "timeout", value: "SECONDS", summary: "how long the server may be silent", range: [0.1, 3600], otherwise: "30" },
    { name: "quiet", short: "q", summary: "show no progress" },
    { ...JSON_OPTION, summary: "print what was found or done, and by which paths, as JSON" },
  ],
  operands: [2, 3],
  words: ["ls", "get", "put", "mirror"],
  examples: [
    ["mptcp ftp ls ftp://ftp.example.org/pub", "what is there"],
    ["mptcp ftp get -c ftp://ftp.example.org/pub/image.iso", "goes on where it was interrupted"],
    [`${AUTH}=me:secret mptcp ftp put --tls photos.tar ftp://nas.example/photos/`, "into a directory"],
    ["mptcp ftp mirror ftp://ftp.example.org/pub ./pub", "a whole directory"],
  ],
  async run(context) {
    const { operands: [verb, ...operands], options } = context;
    if (options.flag("continue") && options.flag("force")) throw new UsageError("--continue and --force exclude each other");
    switch (verb) {
      case "ls":
        return await list(context, one(operands));
      case "get":
        return await get(context, operands);
      case "put":
        return await put(context, operands);
      default:
        return await mirror(context, operands);
    }
  },
};

function one(operands: readonly string[]): FtpAddress {
  if (operands.length > 1) throw new UsageError(`there is an argument too many: ${JSON.stringify(operands[1])}`);
  return ftpAddress(operands[0]!);
}

/** Logs in. */
async function begin(context: Context, address: FtpAddress) {
  const { options } = context;
  const mptcp = mptcpMode(context);
  const { Session } = await import("../ftp/session.ts");
  const given = process.env[AUTH] ?? "";
  const colon = given.indexOf(":");
  const [user, password] = colon < 0 ? [given, ""] : [given.slice(0, colon), given.slice(colon + 1)];
  const who = address.user === undefined && user !== ""
    ? { ...address, user, password }
    : { ...address, password: address.password ?? (address.user === user ? password : undefined) };
  return await Session.open(context, who, {
    mptcp,
    tls: options.flag("tls"),
    insecure: options.flag("insecure"),
    active: options.flag("active"),
    timeout: (options.number("timeout") ?? 30) * 1000,
    localAddress: options.text("from"),
  });
}

type Session = Awaited<ReturnType<typeof begin>>;

async function list(context: Context, address: FtpAddress): Promise<number> {
  const { options, output, signal } = context;
  using session = await begin(context, address);
  const { visible } = await import("../ftp/session.ts");
  const entries = await session.client.list(address.path, { signal });
  entries.sort((a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
  const kindOf = ({ isDirectory, isSymbolicLink }: typeof entries[number]) =>
    isDirectory ? "directory" : isSymbolicLink ? "link" : "file";
  if (options.flag("json")) {
    output.json(entries.map((entry) => ({
      name: entry.name,
      type: kindOf(entry),
      size: entry.size,
      modified: entry.modifiedAt?.toISOString() ?? entry.rawModifiedAt,
    })));
  } else if (entries.length === 0) output.say("There is nothing");
  else {
    output.table(
      ["TYPE", "SIZE", "MODIFIED", "NAME"],
      entries.map((entry) => [
        kindOf(entry),
        entry.isDirectory ? "" : `${entry.size}`,
        entry.modifiedAt?.toISOString().slice(0, 16).replace("T", " ") ?? visible(entry.rawModifiedAt),
        visible(entry.name),
      ]),
    );
  }
  return EXIT.ok;
}

async function get(context: Context, operands: readonly string[]): Promise<number> {
  const { options, output, signal } = context;
  const address = one(operands.slice(0, 1));
  const file = operands[1] ?? baseName(address.path);
  if (["", ".", ".."].includes(file)) throw new UsageError(`${address.shown} names no file`);
  const toFile = file !== "-";
  const resume = options.flag("continue");
  if (!toFile && (resume || options.flag("json"))) {
    throw new UsageError("standard output is taken: --continue and --json need a file");
  }
  const { localSize } = await import("../ftp/mirror.ts");
  const there = toFile ? await localSize(file) : null;
  if (there !== null && !resume && !options.flag("force")) {
    throw new Failure(`${file} is there already; --continue goes on with it, --force overwrites it`);
  }
  using session = await begin(context, address);
  const size = await session.size(address.path);
  const startAt = resume ? there ?? 0 : 0;
  if (startAt > 0 && size === startAt) {
    output.say(`${file} is complete`);
    return EXIT.ok;
  }
  if (size !== null && startAt > size) throw new Failure(`${file} has ${startAt} bytes, but the server's file only ${size}`);
  const started = performance.now();
  const target = toFile ? file : await standardOutput();
  try {
    await session.show(file, startAt, size, () => session.client.downloadTo(target, address.path, { startAt, signal }));
  } catch (error) {
    if (toFile && (await localSize(file) ?? 0) > 0) output.say(`--continue goes on with ${file}`);
    throw error;
  }
  return await report(context, session, { action: "get", url: address.shown, file, resumedAt: startAt }, started);
}

/** Hands everything on to standard output, which is not ours to end. */
async function standardOutput() {
  const { Writable } = await import("node:stream");
  return new Writable({
    write: (chunk: Uint8Array, _encoding, done) => void process.stdout.write(chunk, (error) => done(error ?? null)),
  });
}

async function put(context: Context, operands: readonly string[]): Promise<number> {
  const { options, output, signal } = context;
  const [file, target] = operands;
  if (target === undefined) throw new UsageError("an argument is missing: mptcp ftp put FILE URL");
  const address = ftpAddress(target);
  const { localSize } = await import("../ftp/mirror.ts");
  const size = await localSize(file!);
  if (size === null) throw new Failure(`there is no file ${file}`);
  const path = address.path === "" || address.path.endsWith("/") ? `${address.path}${baseName(file!)}` : address.path;
  using session = await begin(context, address);
  const start = options.flag("continue") ? await session.size(path) ?? 0 : 0;
  if (start > 0 && start === size) {
    output.say(`${path} is complete`);
    return EXIT.ok;
  }
  if (start > size) throw new Failure(`the server's file has ${start} bytes, but ${file} only ${size}`);
  const started = performance.now();
  await session.show(
    file!,
    start,
    size,
    () =>
      start > 0
        ? session.client.appendFrom(file!, path, { localStart: start, signal })
        : session.client.uploadFrom(file!, path, { signal }),
  );
  return await report(context, session, { action: "put", url: address.shown, file: file!, resumedAt: start }, started);
}

async function mirror(context: Context, operands: readonly string[]): Promise<number> {
  const { options, output, signal } = context;
  const [from, to] = operands;
  if (to === undefined || isFtpAddress(from!) === isFtpAddress(to)) {
    throw new UsageError("a mirror needs a URL and a local folder, in the order in which data goes");
  }
  const down = isFtpAddress(from!);
  const address = ftpAddress(down ? from! : to);
  const { mirrorDown, mirrorUp } = await import("../ftp/mirror.ts");
  using session = await begin(context, address);
  const started = performance.now();
  // From the root: changing to a directory changes what a relative path means.
  const base = await session.client.pwd();
  const remote = (address.path.startsWith("/") ? address.path : `${base}/${address.path}`).replace(/^\/+/, "/").replace(
    /(.)\/+$/,
    "$1",
  );
  const settings = { resume: options.flag("continue"), signal, say: (text: string) => output.say(text) };
  const done = down ? await mirrorDown(session, remote, to, settings) : await mirrorUp(session, from!, remote, settings);
  const more = { action: "mirror", url: address.shown, folder: down ? to : from!, ...done };
  return await report(context, session, more, started);
}

/** Tells what was done, and whether data went over several paths. */
async function report(
  context: Context,
  session: Session,
  what: Record<string, string | number>,
  started: number,
): Promise<number> {
  const { options, output } = context;
  const { carriedText } = await import("../ftp/session.ts");
  const seconds = (performance.now() - started) / 1000;
  const bytes = what["bytes"] !== undefined
    ? Number(what["bytes"])
    : session.client.dataConnections.filter(({ kind }) => kind !== "list").reduce(
      (sum, each) => sum + each.bytes,
      0,
    );
  const carried = session.carried();
  if (!options.flag("quiet")) {
    const name = what["file"] ?? `${what["files"]} files, ${what["skipped"]} there already`;
    output.say(
      `${name}: ${bytesText(bytes)} in ${seconds.toFixed(1)} s, ${rateText(bytes / seconds)}, ${carriedText(carried)}`,
    );
  }
  if (options.flag("json")) output.json({ ...what, bytes, seconds, ...carried });
  return EXIT.ok;
}
