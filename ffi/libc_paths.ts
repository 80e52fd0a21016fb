/**
 * Where libc is. Absolute paths come first, because `--allow-ffi=<path>` in Deno grants absolute paths only.
 *
 * @module
 */
import process from "node:process";

/** The GNU triplet by `process.arch`, as distributions with multiarch folders spell it. */
const TRIPLETS: Readonly<Record<string, string>> = {
  x64: "x86_64",
  arm64: "aarch64",
  riscv64: "riscv64",
  ppc64: "powerpc64le",
  s390x: "s390x",
};

/**
 * The candidates in the order in which they are tried: glibc where Debian and its kin have it, where Fedora and its kin
 * have it, musl, and then whatever the dynamic linker finds under the bare name.
 *
 * @param override The value of `MPTCP_LIBC`; where it is set, it is the only candidate.
 */
export function libcCandidates(arch: string = process.arch, override?: string): string[] {
  if (override) return [override];
  const machine = TRIPLETS[arch] ?? arch;
  return [
    `/lib/${machine}-linux-gnu/libc.so.6`,
    "/lib64/libc.so.6",
    `/lib/ld-musl-${machine}.so.1`,
    "/usr/lib/libc.so.6",
    "libc.so.6",
  ];
}

/** An environment variable, or `undefined` also where the process may not read it. */
export function environment(name: string): string | undefined {
  try {
    return process.env[name];
  } catch {
    return undefined; // Deno without --allow-env: the default serves
  }
}

/**
 * Opens the first path that can be opened.
 *
 * @throws The runtime's own error when a permission is missing, untouched; else an `Error` that lists what was tried.
 */
export function openFirst<T>(paths: readonly string[], open: (path: string) => T): T {
  const failures: string[] = [];
  let denied: unknown;
  for (const path of paths) {
    try {
      return open(path);
    } catch (error) {
      // Deno's permission errors; a later path may still be the granted one.
      if (error instanceof Error && /^(NotCapable|PermissionDenied)$/.test(error.name)) denied ??= error;
      else failures.push(error instanceof Error ? error.message : String(error));
    }
  }
  if (denied !== undefined) throw denied;
  throw new Error(`cannot open libc (${[...new Set(failures)].join("; ")})`);
}
