/** A mail server, as Debian's `python3-aiosmtpd` has it. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Host } from "../../host.ts";
import { Daemon } from "../daemon.ts";
import { fileOf } from "../needs.ts";

/** Starts a server that keeps what it receives, by STARTTLS alone if so wanted. */
export function smtp(host: Host, tls: boolean): Promise<Daemon> {
  const secure = tls ? ["--tlscert", "@folder/cert.pem", "--tlskey", "@folder/key.pem"] : [];
  const handler = ["--class", "aiosmtpd.handlers.Mailbox", "@folder/mail"];
  return Daemon.start(host, {
    command: [fileOf("python3-aiosmtpd")!, "--nosetuid", "--debug", "--listen", "0.0.0.0:2525", ...secure, ...handler],
    port: 2525,
    ready: /Server is listening/,
  });
}

/** The mails that it has received. */
export function mailsOf({ folder }: Daemon): string[] {
  const inbox = join(folder, "mail", "new");
  return readdirSync(inbox).map((name) => readFileSync(join(inbox, name), "latin1"));
}
