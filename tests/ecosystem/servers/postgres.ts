/** PostgreSQL, as Debian's `postgresql` has it, with TLS for who asks for it. */
import { dirname, join } from "node:path";
import type { Host } from "../../host.ts";
import { Daemon } from "../daemon.ts";
import { fileOf } from "../needs.ts";

/** Starts PostgreSQL with a new cluster, of which `postgres` is the superuser, without a password. */
export function postgres(host: Host): Promise<Daemon> {
  const postgres = fileOf("postgresql")!;
  const initdb = join(dirname(postgres), "initdb");
  const settings = [
    "listen_addresses=0.0.0.0",
    "unix_socket_directories=",
    "fsync=off",
    "ssl=on",
    "ssl_cert_file=@folder/cert.pem",
    "ssl_key_file=@folder/key.pem",
    "hba_file=@folder/hba.conf",
  ];
  return Daemon.start(host, {
    prepare: [initdb, "-D", "@folder/data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
    files: { "hba.conf": "host all all 0.0.0.0/0 trust\n" },
    command: [postgres, "-D", "@folder/data", ...settings.flatMap((setting) => ["-c", setting])],
    port: 5432,
    ready: /database system is ready to accept connections/,
  });
}
