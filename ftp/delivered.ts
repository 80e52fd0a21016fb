/**
 * The end of an upload: what the kernel has taken is not there yet.
 *
 * @module
 */
import type { Conn } from "../net/conn.ts";

/** Milliseconds between two looks. */
const INTERVAL = 100;

/** What the peer has acknowledged, and whether that is all. */
interface Progress {
  acknowledged: number | bigint;
  complete: boolean;
}

function progress(conn: Conn): Progress {
  const info = conn.info();
  if (info?.sndUna !== undefined && info.writeSeq !== undefined) {
    return { acknowledged: info.sndUna, complete: info.sndUna === info.writeSeq };
  }
  const { bytesAcked = 0, unacked = 0, notsentBytes = 0 } = conn.subflows()[0]?.tcpInfo ?? {};
  return { acknowledged: bytesAcked, complete: unacked === 0 && notsentBytes === 0 };
}

/**
 * Waits until the peer has everything that was written: the answer that confirms an upload is awaited from then on, and on a
 * slow path what lies in the kernel takes its time. The peer's end tells it, or else the kernel.
 *
 * @param conn Whose writing side has ended.
 * @param timeout Milliseconds without progress after which the peer counts as gone, 0 for never.
 * @param look Called now and then.
 * @throws {DOMException} `TimeoutError`
 */
export function delivered(conn: Conn, timeout: number, look: () => void): Promise<void> {
  // Closed: whoever did that knows why.
  if (conn.fd < 0 || progress(conn).complete) return Promise.resolve();
  return new Promise((resolve, reject) => {
    let last = progress(conn).acknowledged;
    let idle = 0;
    const timer = setInterval(() => {
      if (conn.fd < 0) return end(resolve);
      look();
      const { acknowledged, complete } = progress(conn);
      if (complete) return end(resolve);
      idle = acknowledged === last ? idle + INTERVAL : 0;
      last = acknowledged;
      if (timeout === 0 || idle < timeout) return;
      const message = `The upload has stalled: nothing was acknowledged in ${timeout} ms`;
      end(() => reject(new DOMException(message, "TimeoutError")));
    }, INTERVAL);
    const end = (settle: () => void) => {
      clearInterval(timer);
      settle();
    };
    // An error here is for the server's answer to explain.
    conn.read(new Uint8Array(1)).then(() => end(resolve), () => end(resolve));
  });
}
