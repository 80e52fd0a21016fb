/**
 * What the tests of this folder need: `describe(name, { skip: serverNeeds("redis-server") }, …)`.
 *
 * @module
 */
import { globSync } from "node:fs";
import { labNeeds, rootlessNeeds } from "../needs.ts";

/** Debian packages, and where each has what the tests start. */
const FILES = {
  mptcpize: "/usr/bin/mptcpize",
  "redis-server": "/usr/bin/redis-server",
  postgresql: "/usr/lib/postgresql/*/bin/postgres",
  "mariadb-server-core": "/usr/sbin/mariadbd",
  // What makes a new database asks for it.
  "mariadb-client-core": "/usr/bin/my_print_defaults",
  mosquitto: "/usr/sbin/mosquitto",
  nginx: "/usr/sbin/nginx",
  "python3-aiosmtpd": "/usr/bin/aiosmtpd",
  "python3-websockets": "/usr/lib/python3/dist-packages/websockets",
  vsftpd: "/usr/sbin/vsftpd",
  "python3-pyftpdlib": "/usr/lib/python3/dist-packages/pyftpdlib",
  "python3-openssl": "/usr/lib/python3/dist-packages/OpenSSL",
} as const;

/** A server, by its Debian package. */
export type Package = keyof typeof FILES;

/** What a package has for the tests, such as `/usr/bin/redis-server`. The latest version, where it has a folder for each. */
export function fileOf(name: Package): string | undefined {
  const [file] = globSync(FILES[name]).sort().reverse();
  return file;
}

/**
 * Why a server cannot be had here.
 *
 * @returns The reason for node:test's `skip` option; `false` when nothing is missing.
 */
export function serverNeeds(...names: readonly Package[]): string | false {
  const missing = ([...names, "mptcpize"] as const).filter((each) => fileOf(each) === undefined);
  if (missing.length > 0) return `${missing.join(", ")} not found: apt-get install ${missing.join(" ")}`;
  return labNeeds("ss") || rootlessNeeds();
}
