/** nodemailer: mails with a large attachment, by one connection, with STARTTLS where the server wants it. */
import { randomBytes } from "node:crypto";
import { createTransport } from "nodemailer";
import type SMTPPool from "nodemailer/lib/smtp-pool/index.js";
import { MptcpSocket } from "../../../node/mod.ts";
import { CERT } from "../certificate.ts";
import { host, kept, port, released, scenario, sha256, tell } from "./stage.ts";

const options: SMTPPool.Options = {
  host,
  port,
  pool: true,
  requireTLS: scenario === "starttls",
  tls: { ca: CERT, servername: "localhost" },
  getSocket: (_options, done) => {
    const connection = kept(new MptcpSocket()).connect(port, host, () => done(null, { connection }));
    connection.once("error", (error) => done(error, false));
  },
};
const transport = createTransport(options);

const hashes: string[] = [];
for (const name of ["one", "two"]) {
  const content = randomBytes(1_000_000);
  hashes.push(sha256(content));
  await transport.sendMail({
    from: "client@example.com",
    to: "server@example.com",
    subject: name,
    text: "See the attachment",
    attachments: [{ filename: "data.bin", content }],
  });
}
tell(hashes);
await released();
transport.close();
