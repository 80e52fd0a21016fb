/** TLS of control and data connections: what must not be accepted, and implicit TLS. Explicit TLS is tested with real servers. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { describe, it } from "node:test";
import { type Conn, listenTls, MptcpError } from "@mptcp/mptcp";
import { FtpClient, FTPError } from "@mptcp/mptcp/ftp";
import { CERT, KEY } from "../net/certificate.ts";
import { type Answer, ScriptedServer } from "./scripted_server.ts";

const TIMEOUT = 1000;
const LISTING = "-rw-r--r-- 1 u u 5 Jan 01 2024 name\r\n";

/** A server by TLS from the first byte on. */
class ImplicitServer implements Disposable {
  readonly #listener = listenTls({ hostname: "127.0.0.1", port: 0, cert: CERT, key: KEY });
  readonly #data = listenTls({ hostname: "127.0.0.1", port: 0, cert: CERT, key: KEY });
  readonly port = this.#listener.addr.port;

  constructor() {
    (async () => {
      for await (const conn of this.#listener) this.#serve(conn).catch(() => {}).finally(() => conn.close());
    })();
  }

  async #serve(conn: Conn): Promise<void> {
    const say = (line: string) => conn.write(new TextEncoder().encode(`${line}\r\n`));
    await say("220 ready");
    for await (const chunk of conn.readable.pipeThrough(new TextDecoderStream() as never) as AsyncIterable<string>) {
      const [command = ""] = chunk.trim().split(" ");
      if (command === "EPSV") await say(`229 (|||${this.#data.addr.port}|)`);
      else if (command === "LIST") {
        await say("150 here");
        const data = await this.#data.accept();
        await data.write(new TextEncoder().encode(LISTING));
        await data.closeWrite();
        await data.read(new Uint8Array(1));
        data.close();
        await say("226 done");
      } else await say(command === "FEAT" ? "211 none" : command === "USER" ? "230 welcome" : "200 yes");
    }
  }

  [Symbol.dispose](): void {
    this.#listener.close();
    this.#data.close();
  }
}

describe("Implicit TLS", () => {
  it("goes over MPTCP, control and data", async () => {
    using server = new ImplicitServer();
    using client = new FtpClient(TIMEOUT);
    await client.access({ host: "127.0.0.1", port: server.port, secure: "implicit", secureOptions: { ca: CERT } });
    assert(client.control.isMultipath());
    for (let i = 0; i < 2; i++) assertEquals((await client.list()).map(({ name }) => name), ["name"]);
    assertEquals(client.dataConnections.map(({ isMultipath, bytes }) => [isMultipath, bytes]), [[true, LISTING.length], [
      true,
      LISTING.length,
    ]]);
  });

  for (
    const [what, secureOptions, pattern] of [
      ["an unknown authority", {}, /SELF_SIGNED|UnknownIssuer|UNABLE_TO_VERIFY/i],
      ["another name", { ca: CERT, servername: "elsewhere.example" }, /ALTNAME|NotValidForName|hostname/i],
    ] as const
  ) {
    it(`refuses a certificate of ${what}`, async () => {
      using server = new ImplicitServer();
      using client = new FtpClient(TIMEOUT);
      const options = { host: "127.0.0.1", port: server.port, secure: "implicit", secureOptions } as const;
      const error = await assertRejects(() => client.access(options), MptcpError);
      assert(pattern.test(`${error.code} ${error.message}`), `${error.code} ${error.message}`);
      assert(client.closed);
    });
  }
});

describe("Explicit TLS", () => {
  /** What the login by TLS ends with. */
  async function refusal(AUTH: Answer): Promise<Error & { code?: unknown }> {
    using server = await ScriptedServer.start({ AUTH });
    using client = new FtpClient(TIMEOUT);
    const access = () => client.access({ host: "127.0.0.1", port: server.port, secure: true, secureOptions: { ca: CERT } });
    const error = await assertRejects(access) as Error & { code?: unknown };
    assertEquals(server.commands.filter((line) => /^(USER|PASS)/.test(line)), [], "the name was sent in the clear");
    return error;
  }

  it("that the server does not have is an error, and no password is sent", async () => {
    const error = await refusal("534 no");
    assert(error instanceof FTPError);
    assertEquals(error.code, 534);
  });

  it("that the server answers with something else is an error", async () => {
    const error = await refusal((session) => {
      session.reply("234 go");
      session.control.once("data", () => session.control.write("220 what?\r\n".repeat(20)));
    });
    assert(error instanceof MptcpError, `${error}`);
  });

  it("does not begin with what came in the clear: answers that come too early are none", async () => {
    const error = await refusal(({ control }) => {
      control.removeAllListeners("data");
      control.write("234 go\r\n200 yes\r\n230 welcome\r\n230");
    });
    assertEquals(error.name, "TimeoutError", `${error}`);
  });

  it("that the server ends is an error", async () => {
    const error = await refusal((session) => {
      session.reply("234 go");
      session.control.once("data", () => session.control.destroy());
    });
    assert(error instanceof MptcpError, `${error}`);
  });

  it("that the server does not begin is a timeout", async () => {
    const error = await refusal((session) => {
      session.control.removeAllListeners("data");
      session.reply("234 go");
    });
    assertEquals(error.name, "TimeoutError", `${error}`);
  });
});
