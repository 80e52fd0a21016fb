/**
 * The eBPF program that gets or sets an option of one socket, and the request that it is given.
 *
 * It runs once for each TCP socket of the network namespace (`iter/tcp`), does nothing but for the one whose cookie is
 * asked for, and answers in the request itself, which lies in the only value of an array map.
 *
 * @module
 */
import { BpfAssembler, HELPER, R } from "./bpf_assembler.ts";
import { s32, struct, u32, u64, viewOf } from "./struct.ts";

/** The most bytes that an option's value may have. */
export const MAX_VALUE = 64;

const COOKIE = 0;
const OPERATION = 8;
const LEVEL = 12;
const NAME = 16;
const LENGTH = 20;
const RESULT = 24;
const MATCHED = 28;
const VALUE = 32;

/** The size of a request. */
export const REQUEST_SIZE: number = VALUE + MAX_VALUE;

const REQUEST = struct({
  cookie: u64(COOKIE),
  operation: u32(OPERATION),
  level: u32(LEVEL),
  name: u32(NAME),
  length: u32(LENGTH),
  result: s32(RESULT),
  matched: u32(MATCHED),
});

/** What is to be done with which option of which socket. */
export interface OptionRequest {
  operation: "get" | "set";
  /** The socket's cookie. */
  cookie: bigint;
  level: number;
  name: number;
  /** What to set; to get, as many zeros as are wanted. At most {@linkcode MAX_VALUE}. */
  value: Uint8Array;
}

/** Encodes a request. */
export function encodeOptionRequest({ operation, cookie, level, name, value }: OptionRequest): Uint8Array<ArrayBuffer> {
  if (value.length < 1 || value.length > MAX_VALUE) {
    throw new RangeError(`Cannot use a value of ${value.length} bytes: 1 to ${MAX_VALUE} are possible`);
  }
  const bytes = new Uint8Array(REQUEST_SIZE);
  REQUEST.encode(viewOf(bytes), 0, { cookie, operation: operation === "set" ? 1 : 0, level, name, length: value.length });
  bytes.set(value, VALUE);
  return bytes;
}

/** What became of a request. */
export interface OptionAnswer {
  /** Whether the socket was found. */
  matched: boolean;
  /** 0, or `-errno`. */
  result: number;
  value: Uint8Array;
}

/** Decodes the request as the program left it. */
export function decodeOptionAnswer(bytes: Uint8Array): OptionAnswer {
  const { matched = 0, result = 0, length = 0 } = REQUEST.decode(viewOf(bytes), 0, bytes.length);
  return { matched: matched > 0, result, value: bytes.slice(VALUE, VALUE + Math.min(length, MAX_VALUE)) };
}

/** Offset of `struct sock_common *sk_common` in `struct bpf_iter__tcp`, behind one pointer. */
const CONTEXT_SOCKET = 8;

/** Assembles the program for a map. */
export function assembleOptionProgram(mapFd: number): Uint8Array<ArrayBuffer> {
  const { r0, r1, r2, r3, r4, r5, r7: socket, r8: request, r9: operation } = R;
  return new BpfAssembler()
    .load64(socket, r1, CONTEXT_SOCKET)
    .jumpIfEqual(socket, 0, "done") // after the last socket
    .move(r1, socket)
    .call(HELPER.get_socket_cookie)
    .mapValue(request, mapFd)
    .load64(r1, request, COOKIE)
    .jumpUnlessSame(r1, r0, "done")
    .load32(r1, request, MATCHED)
    .add(r1, 1)
    .store32(request, MATCHED, r1)
    .load32(r2, request, LEVEL)
    .load32(r3, request, NAME)
    .move(r4, request)
    .add(r4, VALUE)
    .load32(r5, request, LENGTH)
    .jumpIfEqual(r5, 0, "done") // the verifier wants to see the bounds
    .jumpIfGreater(r5, MAX_VALUE, "done")
    .move(r1, socket)
    .load32(operation, request, OPERATION)
    .jumpIfEqual(operation, 0, "get")
    .call(HELPER.setsockopt)
    .jump("store")
    .label("get")
    .call(HELPER.getsockopt)
    .label("store")
    .store32(request, RESULT, r0)
    .set(r0, 1) // ends the walk over the sockets: the read fails with EAGAIN
    .exit()
    .label("done")
    .set(r0, 0)
    .exit()
    .finish();
}
