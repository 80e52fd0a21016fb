import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { generateKeyPairSync } from "node:crypto";
import { describe, it } from "node:test";
import { connect, connectTls, listen, listenTls, MptcpError, type TlsConn } from "@mptcp/mptcp";
import { CERT, KEY } from "./certificate.ts";
import { openAtLast, openDescriptors, pattern, readAll, readExactly, text, utf8 } from "./pair.ts";

const TRUST = { caCerts: [CERT] };

async function tlsPair(
  client: Partial<Parameters<typeof connectTls>[0]> = {},
  server: Partial<Parameters<typeof listenTls>[0]> = {},
): Promise<{ client: TlsConn; server: TlsConn } & Disposable> {
  using listener = listenTls({ hostname: "127.0.0.1", port: 0, cert: CERT, key: KEY, ...server });
  const accepted = listener.accept();
  const conn = await connectTls({ port: listener.addr.port, ...TRUST, ...client });
  const other = await accepted;
  return {
    client: conn,
    server: other,
    [Symbol.dispose]() {
      conn.close();
      other.close();
    },
  };
}

describe("TLS", () => {
  it("runs over MPTCP, on both ends", async () => {
    using ends = await tlsPair();
    for (const conn of [ends.client, ends.server]) {
      assert(conn.isMultipath());
      assertEquals(conn.subflows().length, 1);
      assertEquals(conn.fallback(), null);
    }
    assertEquals(ends.client.localAddr, ends.server.remoteAddr);
    await ends.client.write(utf8("secret"));
    assertEquals(text(await readExactly(ends.server, 6)), "secret");
  });

  it("carries 8 MB each way with half-closes, to a reader that starts late", async () => {
    using ends = await tlsPair();
    const data = pattern(8 << 20);
    const sending = ends.client.write(data).then(() => ends.client.closeWrite());
    await new Promise((resolve) => setTimeout(resolve, 100));
    assertEquals(await readAll(ends.server), data);
    await sending;
    const answering = ends.server.write(data).then(() => ends.server.closeWrite());
    assertEquals(await readAll(ends.client), data);
    await answering;
  });

  it("tells the end also to a reader that was not waiting for it", async () => {
    using ends = await tlsPair();
    await ends.server.write(utf8("short"));
    ends.server.close();
    await new Promise((resolve) => setTimeout(resolve, 50));
    assertEquals(text(await readAll(ends.client)), "short");
  });

  it("delivers what was written right before close", async () => {
    for (let round = 0; round < 10; round++) {
      using ends = await tlsPair();
      await ends.client.write(utf8("last words"));
      ends.client.close();
      assertEquals(text(await readAll(ends.server)), "last words");
    }
  });

  it("agrees on an application protocol", async () => {
    using ends = await tlsPair({ alpnProtocols: ["echo", "http/1.1"] }, { alpnProtocols: ["h2", "http/1.1"] });
    assertEquals([ends.client.alpnProtocol, ends.server.alpnProtocol], ["http/1.1", "http/1.1"]);
    using none = await tlsPair();
    assertEquals([none.client.alpnProtocol, none.server.alpnProtocol], [null, null]);
  });

  it("streams", async () => {
    using ends = await tlsPair();
    const echoing = ends.server.readable.pipeTo(ends.server.writable);
    const data = pattern(1_000_000);
    const writing = ends.client.write(data).then(() => ends.client.closeWrite());
    assertEquals(new Uint8Array(await new Response(ends.client.readable).arrayBuffer()), data);
    await Promise.all([writing, echoing]);
  });

  it("refuses a certificate of nobody's, or for another name", async () => {
    using listener = listenTls({ hostname: "127.0.0.1", port: 0, cert: CERT, key: KEY });
    const { port } = listener.addr;
    listener.accept().catch(() => {}); // none will come out of these handshakes
    const unknown = await assertRejects(() => connectTls({ port }), MptcpError);
    assert(unknown.hint?.includes("caCerts"), unknown.message);
    const other = await assertRejects(() => connectTls({ port, ...TRUST, serverName: "example.org" }), MptcpError);
    assertEquals(other.code, "ERR_TLS_CERT_ALTNAME_INVALID");
    assert(other.hint?.includes("serverName"), other.message);
  });

  it("refuses what is no certificate, no key, or another's, at once and in plain words", async () => {
    const other = `${
      generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ type: "pkcs8", format: "pem" })
    }`;
    const wrong = [
      ["no certificate", KEY, "cert is no certificate in PEM"],
      [CERT, "no key", "key is no private key in PEM"],
      [CERT, other, "key is not the key of cert"],
    ] as const;
    for (const [cert, key, message] of wrong) {
      const error = assertThrows(() => listenTls({ port: 0, cert, key }), MptcpError, message);
      assertEquals(error.code, "EINVAL");
      await assertRejects(() => connectTls({ port: 1, cert, key }), MptcpError, message);
    }
    await assertRejects(() => connectTls({ port: 1, caCerts: [CERT, "none"] }), MptcpError, "caCerts[1] is no certificate");
  });

  it("does not let a client that says nothing hold up the others", async () => {
    using listener = listenTls({ hostname: "127.0.0.1", port: 0, cert: CERT, key: KEY, handshakeTimeout: 200 });
    const { port } = listener.addr;
    using silent = await connect({ port });
    using nonsense = await connect({ port });
    await nonsense.write(utf8("GET / HTTP/1.0\r\n\r\n"));
    const accepted = listener.accept();
    using client = await connectTls({ port, ...TRUST });
    using server = await accepted;
    assertEquals(server.remoteAddr, client.localAddr);
    const end = await silent.read(new Uint8Array(1)).catch((error) => error.code);
    assert(end === null || end === "ECONNRESET", String(end));
  });

  it("makes connections before anybody accepts them, and refused ones need nobody", async () => {
    using listener = listenTls({ hostname: "127.0.0.1", port: 0, cert: CERT, key: KEY });
    const { port } = listener.addr;
    await assertRejects(() => connectTls({ port, timeout: 5000 }), MptcpError);
    using first = await connectTls({ port, timeout: 5000, ...TRUST });
    using second = await connectTls({ port, timeout: 5000, ...TRUST });
    const accepted = [await listener.accept(), await listener.accept()];
    assertEquals(accepted.map(({ remoteAddr }) => remoteAddr.port), [first.localAddr.port, second.localAddr.port]);
    for (const conn of accepted) conn.close();
  });

  it("lets go of a client that leaves during its handshake", async () => {
    using listener = listenTls({ hostname: "127.0.0.1", port: 0, cert: CERT, key: KEY });
    const refusing = await connectTls({ port: listener.addr.port }).catch((error) => error);
    assert(refusing instanceof MptcpError); // it does not trust the certificate
    using leaving = await connect({ port: listener.addr.port });
    await leaving.closeWrite();
    assertEquals(await leaving.read(new Uint8Array(1)).catch((error) => error.code === "ECONNRESET" ? null : error), null);
  });

  it("gives up a server that says nothing, in time and on abort", async () => {
    using listener = listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr;
    const late = await connectTls({ port, timeout: 100 }).catch((error) => error);
    assertEquals([late instanceof DOMException, late.name], [true, "TimeoutError"]);
    const controller = new AbortController();
    const reason = new Error("enough");
    const connecting = connectTls({ port, signal: controller.signal }).catch((error) => error);
    (await listener.accept()).close();
    const second = await listener.accept();
    controller.abort(reason);
    assertEquals(await connecting, reason);
    second.close();
  });

  it("fails clearly when the server hangs up", async () => {
    using listener = listen({ hostname: "127.0.0.1", port: 0 });
    listener.accept().then((conn) => conn.close());
    const error = await assertRejects(() => connectTls({ port: listener.addr.port }), MptcpError);
    const peer = `127.0.0.1:${listener.addr.port}`;
    assertStringIncludes(error.message, `TLS handshake with ${peer} failed: `);
    assertEquals([error.code, error.address, error.port], ["ECONNRESET", "127.0.0.1", listener.addr.port]);
  });

  it("fails all calls after close, and leaves no descriptor", async () => {
    {
      using first = await tlsPair();
      await first.client.write(utf8("x"));
    }
    const before = openDescriptors();
    for (let round = 0; round < 10; round++) {
      using ends = await tlsPair();
      await ends.client.write(utf8("x"));
      await readExactly(ends.server, 1);
      const { client } = ends;
      client.close();
      assertEquals(client.fd, -1);
      assertThrows(() => client.info(), MptcpError);
      await assertRejects(() => client.read(new Uint8Array(1)), MptcpError);
    }
    const after = await openAtLast(openDescriptors, before);
    assert(after <= before, `${after} descriptors, ${before} before`);
  });

  it("refuses wrong arguments", async () => {
    assertThrows(() => listenTls({ port: 0 } as Parameters<typeof listenTls>[0]), TypeError);
    assertThrows(() => listenTls({ port: 0, cert: "x", key: 5 as unknown as string }), TypeError);
    await assertRejects(() => connectTls({ port: 1, caCerts: "x" as unknown as string[] }), TypeError);
    await assertRejects(() => connectTls({ port: 1, serverName: 5 as unknown as string }), TypeError);
    await assertRejects(() => connectTls({ port: 1, cert: CERT }), TypeError);
    await assertRejects(() => connectTls({ port: 1, key: KEY }), TypeError);
  });
});
