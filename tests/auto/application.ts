/**
 * An application that knows nothing of MPTCP but the first line: clients and servers of the runtime's own modules. It does
 * what its standard input says, and answers by lines of JSON. `application_control.ts` is its other half.
 */
import { auto, undo } from "../../node/auto.ts";
import { createServer as createHttpServer, get as getHttp, type IncomingMessage, type ServerResponse } from "node:http";
import { connect as connectHttp2, createServer as createHttp2Server } from "node:http2";
import { createServer as createHttpsServer, get as getHttps } from "node:https";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import process from "node:process";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import { mptcpOf } from "../../node/mod.ts";
import { CERT, KEY } from "../net/certificate.ts";
import type { Answered, Task } from "./application_control.ts";

/** What a socket's end says of itself. */
const seenOf = (socket: Socket): boolean | null => mptcpOf(socket)?.isMultipath() ?? null;

const servers: { close(): unknown }[] = [];

function serverOf(kind: Task["kind"]): Server {
  const certificate = { cert: CERT, key: KEY };
  const greet = (socket: Socket) => void socket.end(`${seenOf(socket)}`);
  const respond = ({ socket }: IncomingMessage, response: ServerResponse) => void response.end(`${seenOf(socket)}`);
  switch (kind) {
    case "net":
      return createServer(greet);
    case "tls":
      return createTlsServer(certificate, greet);
    case "http":
      return createHttpServer(respond) as unknown as Server;
    case "https":
      return createHttpsServer(certificate, respond) as unknown as Server;
    default:
      return createHttp2Server((request, response) => {
        response.end(`${seenOf(request.stream.session!.socket as Socket)}`);
      }) as unknown as Server;
  }
}

function serve({ kind, host, path }: Task): Promise<Answered> {
  const server = serverOf(kind);
  servers.push(server);
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.once("listening", () => resolve({ port: (server.address() as AddressInfo).port }));
    if (path) server.listen(path);
    else server.listen(0, host!);
  });
}

function read(socket: Socket, told: Answered): Promise<Answered> {
  return new Promise((resolve, reject) => {
    let text = "";
    socket.setEncoding("utf8");
    socket.on("data", (chunk) => text += chunk);
    socket.on("end", () => resolve({ ...told, text }));
    socket.on("error", reject);
  });
}

function ask({ kind, host = "127.0.0.1", port = 0, path }: Task): Promise<Answered> {
  const trust = { ca: CERT, servername: "localhost" };
  return new Promise<Answered>((resolve, reject): unknown => {
    const answered = (response: IncomingMessage) => {
      resolve(read(response as unknown as Socket, { multipath: seenOf(response.socket) }));
    };
    const connected = (socket: Socket) => resolve(read(socket, { multipath: seenOf(socket) }));
    switch (kind) {
      case "net": {
        const socket: Socket = path ? connect(path) : connect(port, host);
        return socket.once("connect", () => connected(socket)).once("error", reject);
      }
      case "tls": {
        const socket = connectTls({ host, port, ...trust }, () => connected(socket));
        return socket.once("error", reject);
      }
      case "http":
        return getHttp(path ? { socketPath: path, agent: false } : { host, port }, answered).on("error", reject);
      case "https":
        return getHttps({ host, port, ...trust }, answered).on("error", reject);
      case "fetch":
        return fetch(`http://${host}:${port}`)
          .then((response) => response.text())
          .then((text) => resolve({ text }), reject);
      default: {
        const session = connectHttp2(`http://${host}:${port}`);
        session.on("error", reject);
        const stream = session.request({ ":path": "/" });
        let text = "";
        stream.setEncoding("utf8");
        stream.on("error", reject);
        // Deno has no "end" here.
        return stream.on("data", (chunk) => {
          text += chunk;
          resolve({ text, multipath: seenOf(session.socket as unknown as Socket) });
        });
      }
    }
  });
}

async function perform(task: Task): Promise<Answered> {
  switch (task.do) {
    case "serve":
      return await serve(task);
    case "ask":
      return await ask(task);
    case "undo":
      undo();
  }
  const { clients, servers, reason, uncovered } = auto;
  return { clients, servers, reason, uncovered: [...uncovered] };
}

let partial = "";
process.stdin.setEncoding("utf8");
process.stdin.on("data", async (chunk: string) => {
  const lines = (partial + chunk).split("\n");
  partial = lines.pop()!;
  for (const line of lines) {
    const answer = await perform(JSON.parse(line) as Task).catch((error) => ({ code: error.code, error: `${error}` }));
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
});
process.stdin.on("end", () => process.exit(0));
