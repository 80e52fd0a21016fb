/** Writes down what the runtime's own TLS clients say of themselves; with the argument `auto`, under `./auto`. */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import process from "node:process";
import { connect, type ConnectionOptions, createServer, type TLSSocket } from "node:tls";
import { CERT, KEY } from "../net/certificate.ts";

if (process.argv[2] === "auto") await import("../../node/auto.ts");

const EVENTS = [
  "lookup",
  "connectionAttempt",
  "connectionAttemptFailed",
  "connect",
  "ready",
  "secureConnect",
  "data",
  "end",
  "finish",
  "timeout",
  "error",
  "close",
];

const server = createServer({ cert: CERT, key: KEY, ALPNProtocols: ["x"] }, (socket) => {
  socket.on("error", () => {});
  socket.on("end", () => socket.end());
  socket.write("hello");
  socket.resume();
});
server.on("tlsClientError", () => {});
server.listen(0, "127.0.0.1");
await once(server, "listening");
const { port } = server.address() as AddressInfo;

type Note = (...words: unknown[]) => void;

function shown(value: unknown): string {
  if (value instanceof Error) return `${(value as { code?: string }).code} ${value.message}`;
  return typeof value === "object" && value !== null ? value.constructor.name : `${value}`;
}

/** Connects, and writes down what happens until the socket is closed. */
async function scenario(name: string, options: ConnectionOptions, act: (socket: TLSSocket, note: Note) => void) {
  const lines = [`${name}:`];
  const note: Note = (...words) => lines.push(`  ${words.map(shown).join(" ").replaceAll(`${port}`, "PORT")}`);
  const trust = { ca: CERT, servername: "localhost", ALPNProtocols: ["x"] };
  const socket = connect({ port, host: "127.0.0.1", ...trust, ...options }, () => note("told"));
  note("at once", socket.connecting, socket.pending, socket.readyState, socket.remoteAddress, socket.destroyed);
  for (const event of EVENTS) socket.on(event, (...values: unknown[]) => note(`<${event}>`, ...values));
  const closed = new Promise((resolve) => socket.once("close", resolve));
  act(socket, note);
  await closed;
  await new Promise((resolve) => setTimeout(resolve, 5)); // whatever may be said too late
  note("at last", socket.destroyed, socket.bytesRead > 0, socket.connecting);
  console.log(lines.join("\n"));
}

await scenario("used", {}, (socket, note) => {
  socket.on("secureConnect", () => {
    note(socket.authorized, socket.alpnProtocol, socket.remoteAddress, socket.remotePort, socket.localAddress);
    note(socket.getProtocol(), socket.connecting, socket.encrypted, socket.getPeerCertificate().subject?.CN);
    socket.end("bye");
  });
});
await scenario("written to early", {}, (socket) => {
  socket.write("early");
  socket.setNoDelay(true);
  socket.setKeepAlive(true, 5000);
  socket.on("data", () => socket.end());
});
await scenario("refused", { port: 1 }, () => {});
await scenario("by name", { host: "localhost" }, (socket) => socket.on("secureConnect", () => socket.end()));
await scenario("destroyed at once", {}, (socket) => socket.destroy());
await scenario("destroyed with an error", {}, (socket) => socket.destroy(new Error("enough")));
await scenario("silent", { timeout: 30 }, (socket) => socket.on("timeout", () => socket.destroy()));
await scenario("not trusted", { ca: undefined }, () => {});
await scenario("of another name", { servername: "other.test" }, () => {});
/** Knows one address only. */
const lookup = ((_host: string, { all }: { all?: boolean }, done: (error: null, ...found: unknown[]) => void) => {
  if (all) done(null, [{ address: "127.0.0.1", family: 4 }]);
  else done(null, "127.0.0.1", 4);
}) as NonNullable<ConnectionOptions["lookup"]>;
// The certificate is of the host that was asked for, where no other name is.
await scenario("of its address", { servername: undefined! }, (socket) => socket.on("secureConnect", () => socket.end()));
await scenario("of another host", { host: "other.test", lookup, servername: undefined! }, () => {});
await scenario("not referenced for a while", {}, (socket) => {
  socket.unref();
  socket.ref();
  socket.on("secureConnect", () => socket.end());
});
process.exit(0);
