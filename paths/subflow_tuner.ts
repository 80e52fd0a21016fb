/**
 * Getting and setting an option of one TCP socket, whichever that is, by a small eBPF program that the kernel runs over all
 * sockets of the network namespace. It is loaded once, and stays loaded as long as the process lives.
 *
 * @module
 */
import process from "node:process";
import { type Libc, system } from "../ffi/mod.ts";
import {
  BPF_ITER_CREATE,
  BPF_LINK_CREATE,
  BPF_MAP_CREATE,
  BPF_MAP_LOOKUP_ELEM,
  BPF_MAP_UPDATE_ELEM,
  BPF_PROG_LOAD,
  encodeIteratorLoad,
  encodeIterCreate,
  encodeLinkCreate,
  encodeMapCreate,
  encodeMapElement,
  NR_BPF,
} from "../kernel/bpf.ts";
import { INSTRUCTION_SIZE } from "../kernel/bpf_assembler.ts";
import { findBtfFunction } from "../kernel/btf.ts";
import { EAGAIN, EINTR } from "../kernel/errno.ts";
import { check, MptcpError } from "../kernel/error.ts";
import {
  assembleOptionProgram,
  decodeOptionAnswer,
  encodeOptionRequest,
  type OptionAnswer,
  type OptionRequest,
  REQUEST_SIZE,
} from "../kernel/subflow_option_program.ts";
import { readBytes } from "./proc.ts";

const BTF = "/sys/kernel/btf/vmlinux";
/** They have 5 to 15 MB. */
const BTF_LIMIT = 256 << 20;
const ITERATOR = "bpf_iter_tcp";
/** Says that the program may be combined with the kernel's parts: it uses none that asks for more. */
const LICENSE = "MIT\0";

const WHAT = "tune one subflow";

/** What it takes, for errors. */
export const TUNING_NEEDS =
  "it takes CAP_BPF and CAP_PERFMON (or CAP_SYS_ADMIN) outside of user namespaces: run as root, or " +
  "`sudo setcap cap_bpf,cap_perfmon,cap_net_admin+ep` on a copy of the runtime";

/** A buffer of its own: an array that the runtime keeps inside its heap could move while the kernel holds its address. */
const pinned = (size: number): Uint8Array<ArrayBuffer> => new Uint8Array(new ArrayBuffer(Math.max(size, 128)), 0, size);

function copyPinned(bytes: Uint8Array): Uint8Array {
  const copy = pinned(bytes.length);
  copy.set(bytes);
  return copy;
}

/** See the module's comment. */
export class SubflowTuner {
  readonly #libc: Libc;
  readonly #number: number;
  readonly #map: number;
  readonly #link: number;
  readonly #key = pinned(4);
  readonly #value = pinned(REQUEST_SIZE);
  readonly #chunk = new Uint8Array(64);

  /** Loads the program. */
  constructor() {
    const host = system();
    const number = NR_BPF[process.arch];
    if (host === null || number === undefined) {
      throw new MptcpError("EOPNOTSUPP", `Cannot ${WHAT}: there is no eBPF on this host`, { syscall: "bpf" });
    }
    this.#libc = host.libc;
    this.#number = number;
    this.#map = this.#bpf(BPF_MAP_CREATE, encodeMapCreate(REQUEST_SIZE));
    try {
      this.#link = this.#attach();
    } catch (error) {
      this.#libc.close(this.#map);
      throw error;
    }
  }

  #attach(): number {
    const instructions = copyPinned(assembleOptionProgram(this.#map));
    const license = copyPinned(new TextEncoder().encode(LICENSE));
    const program = this.#bpf(
      BPF_PROG_LOAD,
      encodeIteratorLoad(
        this.#libc.addressOf(instructions),
        instructions.length / INSTRUCTION_SIZE,
        this.#libc.addressOf(license),
        iteratorId(),
      ),
    );
    try {
      return this.#bpf(BPF_LINK_CREATE, encodeLinkCreate(program));
    } finally {
      this.#libc.close(program); // the link keeps it
    }
  }

  #bpf(command: number, attr: Uint8Array): number {
    const result = this.#libc.bpf(this.#number, command, attr);
    return check(result, "bpf", { detail: result === -1 ? `cannot ${WHAT}` : undefined, hint: TUNING_NEEDS });
  }

  /** Runs the program over the sockets of the network namespace. */
  run(request: OptionRequest): OptionAnswer {
    this.#value.set(encodeOptionRequest(request));
    const element = encodeMapElement(this.#map, this.#libc.addressOf(this.#key), this.#libc.addressOf(this.#value));
    this.#bpf(BPF_MAP_UPDATE_ELEM, element);
    const iterator = this.#bpf(BPF_ITER_CREATE, encodeIterCreate(this.#link));
    try {
      // It writes nothing: the read ends when the socket was found, or when all were seen.
      for (;;) {
        const count = this.#libc.read(iterator, this.#chunk);
        if (count === -EAGAIN || (count !== -EINTR && check(count, "read") === 0)) break;
      }
    } finally {
      this.#libc.close(iterator);
    }
    this.#bpf(BPF_MAP_LOOKUP_ELEM, element);
    return decodeOptionAnswer(this.#value);
  }
}

let btfId: number | undefined;

/** The iterator's number in the kernel's types, which takes a while to find: once. */
function iteratorId(): number {
  if (btfId !== undefined) return btfId;
  const btf = readBytes(BTF, BTF_LIMIT);
  const found = btf && findBtfFunction(btf, ITERATOR);
  if (found !== null) return btfId = found;
  throw new MptcpError("EOPNOTSUPP", `Cannot ${WHAT}: the kernel does not describe its types, or has no ${ITERATOR}`, {
    syscall: "open",
    address: BTF,
    hint: "it takes a kernel with CONFIG_DEBUG_INFO_BTF, Linux 5.9 or later",
  });
}

let tuner: SubflowTuner | undefined;

/**
 * The process's tuner, loaded at the first call.
 *
 * @throws {MptcpError} `EPERM` without the privilege, `EOPNOTSUPP` where the kernel has no such program.
 */
export function subflowTuner(): SubflowTuner {
  return tuner ??= new SubflowTuner();
}
