/** What any decoder has to hold against any bytes. */
import { assert, assertEquals } from "@std/assert";
import { MptcpError } from "../../kernel/error.ts";
import { decodeMessages, type NetlinkMessage } from "../../kernel/netlink.ts";
import fc from "fast-check";

/** Runs `decode`; what is wrong with the bytes must show as EBADMSG, never otherwise. */
export function survives(decode: () => unknown): void {
  try {
    decode();
  } catch (error) {
    assert(error instanceof MptcpError, String(error));
    assertEquals(error.code, "EBADMSG");
  }
}

/** Changes bytes of real messages behind their headers, and cuts them anywhere; `decode` has to survive it. */
export function fuzzMessages(datagrams: readonly Uint8Array[], decode: (message: NetlinkMessage) => unknown): void {
  for (const datagram of datagrams) {
    for (const message of decodeMessages(datagram)) {
      for (let end = message.start; end <= message.end; end++) survives(() => decode({ ...message, end }));
    }
  }
  const changes = fc.array(fc.tuple(fc.nat(4000), fc.oneof(fc.constantFrom(0, 1, 3, 4, 5, 8, 128, 255), fc.nat(255))));
  fc.assert(fc.property(fc.constantFrom(...datagrams), changes, (datagram, list) => {
    const changed = datagram.slice();
    const messages = decodeMessages(changed);
    for (const message of messages) {
      const size = message.end - message.start;
      for (const [at, value] of list) if (size > 0) changed[message.start + at % size] = value;
      survives(() => decode(message));
    }
  }));
  const head = datagrams[0]!.slice(0, 16);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (payload) => {
    const bytes = Uint8Array.of(...head, ...payload);
    const view = new DataView(bytes.buffer);
    const message = { type: view.getUint16(4, true), flags: 0, sequence: 0, portId: 0, bytes, view };
    survives(() => decode({ ...message, start: 16, end: bytes.length }));
  }));
}
