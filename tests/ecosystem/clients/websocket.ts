/** ws: messages there and back, by `createConnection` or by an agent, with TLS or without. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { WebSocket } from "ws";
import { HttpAgent, HttpsAgent, mptcpOf, MptcpSocket } from "../../../node/mod.ts";
import { CERT } from "../certificate.ts";
import { host, kept, look, port, released, scenario, tell } from "./stage.ts";

const hooks = {
  "createConnection": () => ({ createConnection: () => kept(new MptcpSocket({ noDelay: true })).connect(port, host) }),
  "agent": () => ({ agent: new HttpAgent() }),
  "tls": () => ({ agent: new HttpsAgent({ ca: CERT, servername: "localhost" }) }),
};

const scheme = scenario === "tls" ? "wss" : "ws";
const socket = new WebSocket(`${scheme}://${host}:${port}`, hooks[scenario as keyof typeof hooks]());
const upgraded = once(socket, "upgrade");
await once(socket, "open");

async function echo(message: string | Uint8Array): Promise<boolean> {
  const heard = once(socket, "message");
  socket.send(message);
  const [data, isBinary] = await heard as [Uint8Array, boolean];
  return isBinary === (typeof message !== "string") && data.toString() === message.toString();
}

const echoed = [
  await echo("héllo"),
  await echo(randomBytes(1)),
  await echo(randomBytes(70_000)),
  await echo(randomBytes(4_000_000)),
];
const pong = once(socket, "pong");
socket.ping("there?");
const [text] = await pong as [Uint8Array];

const [response] = await upgraded as [{ socket: Parameters<typeof mptcpOf>[0] }];
tell({ echoed, pong: `${text}` }, [look(mptcpOf(response.socket)!)]);
await released();
const closed = once(socket, "close");
socket.close(1000);
await closed;
