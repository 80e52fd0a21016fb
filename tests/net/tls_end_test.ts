/** How TLS connections end: a peer that is strict must not take a whole stream for one that was cut off. */
import { assertEquals } from "@std/assert";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { connectTls, listenTls } from "@mptcp/mptcp";
import { Child } from "../child.ts";
import { labNeeds } from "../needs.ts";
import { describe, it } from "../suite.ts";
import { CERT, KEY } from "./certificate.ts";
import { openAtLast, openDescriptors } from "./pair.ts";

const SERVER = fileURLToPath(new URL("strict_tls_server.py", import.meta.url));

describe("a TLS connection of which the writing side has ended", { skip: labNeeds("python3") }, () => {
  it("has said so, though the kernel had no room for it at first", async () => {
    const folder = mkdtempSync(join(tmpdir(), "mptcp-tls-"));
    try {
      const pem = [["cert.pem", CERT], ["key.pem", KEY]].map(([name, text]) => {
        writeFileSync(join(folder, name!), text!);
        return join(folder, name!);
      });
      await using server = new Child(["python3", SERVER, ...pem]);
      const port = Number(await server.line());
      for (let round = 0; round < 40; round++) {
        using conn = await connectTls({ port, caCerts: [CERT], sendBuffer: 1 << 16 });
        const size = 100_000 + 7919 * round;
        await conn.write(new Uint8Array(size));
        await conn.closeWrite();
        assertEquals(await server.line(), `${size} bytes, and the end`);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe("a closed TLS connection", () => {
  it("leaves no descriptor, though the peer never ends its side", async () => {
    using listener = listenTls({ hostname: "127.0.0.1", port: 0, cert: CERT, key: KEY });
    const [client, server] = await Promise.all([
      connectTls({ port: listener.addr.port, caCerts: [CERT] }),
      listener.accept(),
    ]);
    await client.write(new Uint8Array(10));
    await client.closeWrite();
    const before = openDescriptors();
    client.close();
    assertEquals(client.fd, -1);
    assertEquals(await openAtLast(openDescriptors, before - 1, 5000), before - 1);
    server.close();
  });
});
