/**
 * A look at the handshakes on this host's wires. The kernel tells that an option was missing; what was on the wire tells
 * whether somebody took it out, and whether that was on this host.
 *
 * @module
 */
import { system } from "../ffi/mod.ts";
import { SO_ATTACH_FILTER, SOCK_CLOEXEC, SOCK_DGRAM, SOL_SOCKET } from "../kernel/constants.ts";
import { EINTR } from "../kernel/errno.ts";
import {
  AF_PACKET,
  decodeSynPacket,
  encodeFilterProgram,
  encodePacketAddress,
  encodeSynFilter,
  SYN_PACKET_SIZE,
  type SynPacket,
} from "../kernel/syn_packet.ts";

/** A host that makes many connections fills the socket's buffer before this; what does not fit there is lost, and that is well. */
const MOST_PACKETS = 4096;

/** See the module's comment. It takes SYNs and SYN-ACKs of all interfaces from when it is opened, until it is closed. */
export class SynTap implements Disposable {
  #fd: number;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** Opens it; `null` without CAP_NET_RAW over the network namespace, and on hosts without FFI. */
  static open(): SynTap | null {
    const libc = system()?.libc;
    if (!libc) return null;
    // With protocol 0 nothing comes before the filter is in place.
    const fd = libc.socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return null;
    const filter = encodeSynFilter();
    const program = encodeFilterProgram(filter, libc.addressOf(filter));
    const attached = libc.setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, program);
    filter.fill(0); // the kernel has copied it; and so the array lived until then
    if (attached >= 0 && libc.bind(fd, encodePacketAddress()) >= 0) return new SynTap(fd);
    libc.close(fd);
    return null;
  }

  /** The packets since the last call. */
  take(): SynPacket[] {
    const packets: SynPacket[] = [];
    const libc = system()?.libc;
    if (!libc || this.#fd < 0) return packets;
    const bytes = new Uint8Array(SYN_PACKET_SIZE);
    for (let left = MOST_PACKETS; left > 0; left--) {
      const count = libc.recv(this.#fd, bytes);
      if (count === -EINTR) continue;
      if (count < 0) break; // nothing more, or an interface went down
      const packet = decodeSynPacket(bytes.subarray(0, count));
      if (packet !== null) packets.push(packet);
    }
    return packets;
  }

  /** Closes it; a second call does nothing. */
  close(): void {
    const fd = this.#fd;
    this.#fd = -1;
    if (fd >= 0) system()!.libc.close(fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
