/**
 * Beginning to serve, whatever the way: from the arguments to a server that obeys its signal.
 *
 * @module
 */
import { runtime } from "../../ffi/mod.ts";
import { explainCertificate } from "../../net/tls_certificate.ts";
import { type Answers, answersOf } from "./answers.ts";
import type { Engine } from "./engine.ts";
import { checkServe, type ServeHandler, type ServeOptions } from "./options.ts";
import { overrideGlobalObjects } from "./override_global_objects.ts";
import { HttpServer } from "./server.ts";

/**
 * Checks the arguments, starts an engine, and gives the server.
 *
 * @param start Starts the engine. It is not called when the arguments are wrong, or the signal is aborted.
 * @throws As `serve` does; the engine is closed then.
 */
export async function begin(
  handler: ServeHandler,
  options: ServeOptions,
  start: (answers: Answers) => Promise<Engine>,
): Promise<HttpServer> {
  checkServe(handler, options);
  const { signal, onListen, onError, overrideGlobalObjects: override = true } = options;
  signal?.throwIfAborted();
  let engine: Engine;
  try {
    engine = await start(answersOf(handler, onError));
  } catch (error) {
    throw explainCertificate("serve by TLS", error, options);
  }
  const server = new HttpServer(engine);
  if (override && runtime === "node") server.finished.then(overrideGlobalObjects());
  try {
    signal?.throwIfAborted();
    onListen?.(server.addr);
  } catch (error) {
    await server.close();
    throw error;
  }
  const stop = () => void server.shutdown().catch(() => {});
  signal?.addEventListener("abort", stop, { once: true });
  server.finished.then(() => signal?.removeEventListener("abort", stop));
  return server;
}
