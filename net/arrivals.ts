/**
 * The path manager of connections that arrive at a listener.
 *
 * @module
 */
import { system } from "../ffi/mod.ts";
import { listenToEvents, type Subscription } from "../paths/event_hub.ts";
import { defaultMode, holdMode, type PathManagerMode } from "../paths/path_manager_mode.ts";
import type { ListenOptions } from "./options.ts";

/**
 * Lasts as long as a listener: keeps the host's choice as the listener wants it, and listens to events where a program
 * manages the paths, as a client may open its second path before anybody has accepted the first.
 */
export class Arrivals {
  /** Who manages the paths of connections that arrive; `null` where that is no question. */
  readonly paths: PathManagerMode | null;
  readonly #release: () => void;
  readonly #listening: Subscription | null;

  /** @throws {MptcpError} `EPERM` or `EACCES`, where the host's choice would have to be changed and may not be. */
  constructor({ mptcp, paths }: ListenOptions) {
    const concerned = system() !== null && mptcp !== "off";
    this.#release = concerned && paths !== undefined ? holdMode(paths) : () => {};
    this.paths = concerned ? paths ?? defaultMode() : null;
    this.#listening = this.paths === "userspace" ? listenToEvents() : null;
  }

  /** The listener is closed; a second call does nothing. */
  close(): void {
    this.#release();
    this.#listening?.close();
  }
}
