/** What of sockets and servers keeps a process alive: the same as of those of `node:net`. */
import { assertEquals } from "@std/assert";
import { describe, it } from "node:test";
import { run } from "../host/program.ts";

const NODE = JSON.stringify(new URL("../../node/mod.ts", import.meta.url).href);

const START = `
  import { createConnection, createServer } from ${NODE};
  import { once } from "node:events";
  const server = createServer((socket) => { globalThis.accepted = socket; }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const dial = () => createConnection(server.address().port, "127.0.0.1");
`;

function endsWith(source: string, expected: string): void {
  const { code, stdout, stderr } = run(`${START}${source}`);
  assertEquals([code, stdout.trim(), stderr.trim()], [0, expected, ""]);
}

describe("a process", () => {
  it("ends when a server is unref'd", () => endsWith(`server.unref(); console.log(server.mptcp);`, "true"));

  it("ends when connected sockets are unref'd", () => {
    endsWith(
      `const socket = dial();
       await Promise.all([once(server, "connection"), once(socket, "connect")]);
       socket.unref(); accepted.unref(); server.close();
       console.log(socket.mptcp.isMultipath(), accepted.mptcp.isMultipath());`,
      "true true",
    );
  });

  it("ends when a socket is unref'd before it is connected", () => {
    endsWith(
      `server.unref();
       server.on("connection", (socket) => socket.unref());
       const socket = dial();
       socket.unref();
       console.log(socket.connecting);`,
      "true",
    );
  });

  it("is kept alive by a socket that waits for data", () => {
    endsWith(
      `const socket = dial();
       await Promise.all([once(server, "connection"), once(socket, "connect")]);
       accepted.unref(); server.close();
       socket.on("data", (data) => { console.log(String(data)); socket.destroy(); });
       setTimeout(() => accepted.write("late"), 100).unref();`,
      "late",
    );
  });

  it("is kept alive by a socket that connects", () => {
    endsWith(
      `server.unref();
       server.on("connection", (socket) => socket.unref());
       dial().on("connect", function () { console.log("connected"); this.destroy(); });`,
      "connected",
    );
  });

  it("prints nothing of its own", () => {
    endsWith(
      `const socket = dial().on("connect", () => socket.end()).on("close", () => server.close()).resume();
       await once(server, "connection");
       accepted.end();
       accepted.resume();`,
      "",
    );
  });
});
