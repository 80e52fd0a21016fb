/**
 * `mptcp serve`: a folder over HTTP, by MPTCP for clients that speak it.
 *
 * @module
 */
import { readFileSync, realpathSync, statSync } from "node:fs";
import { parseListen } from "../frame/address.ts";
import { type Command, JSON_OPTION, UsageError } from "../frame/command.ts";
import { EXIT } from "../frame/failure.ts";
import { bytesText } from "../frame/output.ts";

export const serve: Command = {
  name: "serve",
  summary: "a folder over HTTP, by MPTCP for clients that speak it",
  usage: "[options] [DIR]",
  about: `Files with ranges and ETags, folders as lists; what begins with a dot is not shown, nor what lies outside of DIR.
LISTEN is address:port, :port for all addresses, or a port of 127.0.0.1.`,
  options: [
    { name: "listen", short: "l", value: "LISTEN", summary: "where to listen", otherwise: "8000" },
    { name: "listing", negatable: true, summary: "list folders that have no index.html", otherwise: "yes" },
    { name: "cert", value: "FILE", summary: "a certificate, PEM, with --key: HTTPS" },
    { name: "key", value: "FILE", summary: "its key" },
    { name: "require", summary: "refuse to start without MPTCP" },
    { name: "tcp", summary: "use plain TCP" },
    { name: "quiet", short: "q", summary: "write no line for each request" },
    { ...JSON_OPTION, summary: "print lines of JSON: the address, and each request" },
  ],
  operands: [0, 1],
  examples: [
    ["mptcp serve", "this folder, for this machine"],
    ["mptcp serve --listen :8000 ~/public", "for everybody"],
    ["mptcp serve -l :8443 --cert cert.pem --key key.pem .", "by HTTPS"],
  ],
  async run(context) {
    const { operands: [directory = "."], options, output, signal, hurry } = context;
    const { mptcpMode } = await import("./cat.ts");
    const mptcp = mptcpMode(context);
    const [cert, key] = [options.text("cert"), options.text("key")].map((file) => file && textOf(file));
    if (!cert !== !key) throw new UsageError("--cert and --key belong together");
    const root = rootOf(directory);
    const listen = parseListen(options.text("listen") ?? "8000");
    const json = options.flag("json");
    const { addrText, clockText } = await import("../frame/texts.ts");
    const { folderHandler } = await import("../files/handler.ts");
    const http = await import("../../http/serve.ts");
    const handle = folderHandler(root, {
      listing: options.choice("listing") ?? true,
      done: (request, info, status, bytes) => {
        const { method } = request;
        const { remoteAddr, isMultipath } = info;
        const path = new URL(request.url).pathname;
        if (json) output.jsonLine({ type: "request", method, path, status, bytes, remoteAddr, isMultipath });
        else if (!options.flag("quiet")) {
          const way = isMultipath ? "MPTCP" : "TCP";
          output.say(
            `${clockText(new Date())}  ${addrText(remoteAddr)} ${way}  ${method} ${path}  ${status}  ${bytesText(bytes)}`,
          );
        }
      },
    });
    const tls = cert && key ? { cert, key } : {};
    const server = await http.serve(handle, { ...listen, ...tls, mptcp });
    const { addr } = server;
    const way = server.mptcp ? "MPTCP and TCP" : `TCP only${mptcp === "off" ? "" : `: ${server.fallback()?.message}`}`;
    output.say(`Serving ${root} on ${cert ? "https" : "http"}://${addrText(addr)}/ by ${way}`);
    if (json) output.jsonLine({ type: "listening", hostname: addr.hostname, port: addr.port });
    const stop = () => void server.shutdown().catch(() => {});
    const end = () => void server.close().catch(() => {});
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
    hurry.addEventListener("abort", end, { once: true });
    await server.finished;
    return EXIT.ok;
  },
};

function textOf(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new UsageError(`${JSON.stringify(file)} cannot be read: ${(error as { code?: string }).code}`);
  }
}

function rootOf(directory: string): string {
  try {
    const root = realpathSync(directory);
    if (statSync(root).isDirectory()) return root;
  } catch (error) {
    throw new UsageError(`DIR ${JSON.stringify(directory)} cannot be served: ${(error as { code?: string }).code}`);
  }
  throw new UsageError(`DIR ${JSON.stringify(directory)} is no folder`);
}
