/**
 * FTP servers as Debian ships them. What they serve is in `files/` of their folder.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { Daemon } from "../ecosystem/daemon.ts";
import { fileOf, serverNeeds } from "../ecosystem/needs.ts";
import type { Host } from "../host.ts";
import { runtime } from "../host/program.ts";
import { labNeeds } from "../needs.ts";

const fileHere = (name: string) => fileURLToPath(new URL(`./${name}`, import.meta.url));

/** What a server is to be like. */
export interface FtpServerOptions {
  /** Whether it wants TLS, of the control and of data connections. @default {false} */
  tls?: boolean;
  /** @default {true} */
  mptcpize?: boolean;
}

/** A server that can be started in a host. */
export interface FtpServer {
  name: string;
  /** Who can log in, with the password `p`. */
  user: string;
  /** Why it cannot be had here; `false` when it can. */
  skip: string | false;
  /** Starts it at port 2121. */
  start(host: Host, options?: FtpServerOptions): Promise<Daemon>;
}

const PORT = 2121;

const VSFTPD = `
listen=YES
listen_port=${PORT}
background=NO
run_as_launching_user=YES
anonymous_enable=YES
anon_root=@folder/files
anon_umask=022
no_anon_password=YES
write_enable=YES
anon_upload_enable=YES
anon_mkdir_write_enable=YES
anon_other_write_enable=YES
anon_world_readable_only=NO
connect_from_port_20=NO
seccomp_sandbox=NO
isolate=NO
isolate_network=NO
`;

/** It takes a data connection only with a TLS session that the control connection had, which Deno cannot do. */
const VSFTPD_TLS = `
ssl_enable=YES
allow_anon_ssl=YES
force_anon_logins_ssl=YES
force_anon_data_ssl=YES
require_ssl_reuse=${runtime === "deno" ? "NO" : "YES"}
rsa_cert_file=@folder/cert.pem
rsa_private_key_file=@folder/key.pem
ssl_ciphers=HIGH
`;

/** A command that says nothing when it listens. */
const TOLD = `"$@" & until ss -Hltn "sport = :${PORT}" | grep -q .; do sleep 0.02; done; echo listening; wait`;

/** Preloads one library more than there are by now. */
const BESIDE = 'LD_PRELOAD="$0 $LD_PRELOAD" exec "$@"';

export const vsftpd: FtpServer = {
  name: "vsftpd",
  user: "ftp",
  skip: serverNeeds("vsftpd") || labNeeds("gcc"),
  start(host, { tls = false, mptcpize = true } = {}) {
    const build = `mkdir @folder/files && gcc -shared -fPIC -o @folder/oobinline.so ${fileHere("oobinline.c")} -ldl`;
    return Daemon.start(host, {
      files: { "vsftpd.conf": VSFTPD + (tls ? VSFTPD_TLS : "") },
      prepare: ["sh", "-c", build],
      command: [
        "sh",
        "-c",
        TOLD,
        "sh",
        "sh",
        "-c",
        BESIDE,
        "@folder/oobinline.so",
        fileOf("vsftpd")!,
        "@folder/vsftpd.conf",
      ],
      port: PORT,
      ready: /listening/,
      mptcpize,
    });
  },
};

export const pyftpdlib: FtpServer = {
  name: "pyftpdlib",
  user: "u",
  skip: serverNeeds("python3-pyftpdlib") || serverNeeds("python3-openssl"),
  start(host, { tls = false, mptcpize = true } = {}) {
    const certificate = tls ? ["@folder/cert.pem", "@folder/key.pem"] : [];
    return Daemon.start(host, {
      prepare: ["mkdir", "@folder/files"],
      // Debian's own Python: another one that comes first in PATH does not have Debian's modules.
      command: ["/usr/bin/python3", fileHere("pyftpdlib_server.py"), `${PORT}`, "@folder/files", ...certificate],
      port: PORT,
      ready: /listening/,
      mptcpize,
    });
  },
};
