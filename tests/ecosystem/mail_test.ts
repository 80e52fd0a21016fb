import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import { assertEquals } from "@std/assert";
import { addressOf, Lab } from "../lab.ts";
import { assertMultipath } from "./both_ends.ts";
import { Client } from "./client.ts";
import { serverNeeds } from "./needs.ts";
import { mailsOf, smtp } from "./servers/smtp.ts";

/** What a mail has attached. */
function attachmentHash(mail: string): string {
  const [, base64] = /^Content-Disposition: attachment[^]*?\n\r?\n([A-Za-z0-9+/=\r\n]+)/m.exec(mail) ?? [];
  return createHash("sha256").update(Buffer.from(base64 ?? "", "base64")).digest("hex");
}

const skip = serverNeeds("python3-aiosmtpd");

describe("nodemailer and an SMTP server", () => {
  for (const [scenario, tls] of [["plain", false], ["starttls", true]] as const) {
    it(`pass mails with attachments${tls ? ", by STARTTLS" : ""}`, { skip }, async () => {
      await using lab = await Lab.open();
      await using server = await smtp(lab.server, tls);
      await using client = Client.start(lab.client, "mail.ts", scenario, addressOf("server", 1), server.port);
      const { connections, result } = await client.report<string[]>();
      assertEquals(mailsOf(server).map(attachmentHash).sort(), result.sort());
      assertEquals(connections.length, 1);
      await assertMultipath(lab, server.port, connections);
      await client.end();
    });
  }
});
