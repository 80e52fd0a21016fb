/** MariaDB, as Debian's `mariadb-server-core` has it, with TLS for who asks for it. */
import type { Host } from "../../host.ts";
import { Daemon } from "../daemon.ts";
import { fileOf } from "../needs.ts";

/** Starts MariaDB with a new database `lab`, in which `root` from everywhere has the password `secret`. */
export function mariadb(host: Host): Promise<Daemon> {
  const lasting = ["--no-defaults", "--datadir=@folder/data", "--innodb-log-file-size=4M", "--innodb-flush-method=nosync"];
  return Daemon.start(host, {
    prepare: ["mariadb-install-db", ...lasting, "--auth-root-authentication-method=normal", "--skip-test-db"],
    // One statement a line.
    files: {
      "init.sql": `CREATE DATABASE lab;
CREATE USER 'root'@'%' IDENTIFIED BY 'secret';
GRANT ALL ON *.* TO 'root'@'%';
`,
    },
    command: [
      fileOf("mariadb-server-core")!,
      ...lasting,
      "--socket=@folder/socket",
      "--pid-file=@folder/pid",
      "--bind-address=0.0.0.0",
      "--port=3306",
      "--init-file=@folder/init.sql",
      "--max-allowed-packet=16M",
      "--ssl-cert=@folder/cert.pem",
      "--ssl-key=@folder/key.pem",
    ],
    port: 3306,
    ready: /ready for connections/,
  });
}
