/** nginx, as Debian's `nginx` has it. */
import type { Host } from "../../host.ts";
import { Daemon } from "../daemon.ts";
import { fileOf } from "../needs.ts";

/** Starts nginx, with HTTP at port 8080 or HTTPS at port 8443; it serves and takes files at `/files/`. */
export function nginx(host: Host, tls: boolean): Promise<Daemon> {
  const port = tls ? 8443 : 8080;
  const temporary = ["client_body", "proxy", "fastcgi", "scgi", "uwsgi"].map((name) => `${name}_temp_path @folder/${name};`);
  return Daemon.start(host, {
    files: {
      "nginx.conf": `
daemon off;
master_process off;
pid @folder/pid;
error_log stderr notice;
events {}
http {
  access_log off;
  ${temporary.join("\n")}
  server {
    listen 0.0.0.0:${port} ${tls ? "ssl" : ""};
    ssl_certificate @folder/cert.pem;
    ssl_certificate_key @folder/key.pem;
    location /files/ { root @folder; dav_methods PUT; create_full_put_path on; client_max_body_size 10m; }
  }
}
`,
    },
    command: [fileOf("nginx")!, "-e", "stderr", "-p", "@folder", "-c", "@folder/nginx.conf"],
    port,
    // It listens before it says so.
    ready: /\[notice\].* OS: /,
  });
}
