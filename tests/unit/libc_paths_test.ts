/** Where libc is looked for. */
import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import process from "node:process";
import { describe, it } from "node:test";
import { environment, libcCandidates, openFirst } from "../../ffi/libc_paths.ts";

/** An error as Deno throws it for a missing permission. */
function denied(name: string): Error {
  return Object.assign(new Error(`Requires ffi access`), { name });
}

describe("libcCandidates", () => {
  it("begins with absolute paths and ends with the bare name", () => {
    assertEquals(libcCandidates("x64"), [
      "/lib/x86_64-linux-gnu/libc.so.6",
      "/lib64/libc.so.6",
      "/lib/ld-musl-x86_64.so.1",
      "/usr/lib/libc.so.6",
      "libc.so.6",
    ]);
  });

  it("knows the names of other machines", () => {
    assertEquals(libcCandidates("arm64").slice(0, 3), [
      "/lib/aarch64-linux-gnu/libc.so.6",
      "/lib64/libc.so.6",
      "/lib/ld-musl-aarch64.so.1",
    ]);
    assertEquals(libcCandidates("riscv64")[0], "/lib/riscv64-linux-gnu/libc.so.6");
    assertEquals(libcCandidates("unheard-of")[0], "/lib/unheard-of-linux-gnu/libc.so.6");
  });

  it("takes this machine where none is given", () => assertEquals(libcCandidates(), libcCandidates(process.arch)));

  it("looks nowhere else where a path is given", () => {
    assertEquals(libcCandidates("x64", "/opt/libc.so"), ["/opt/libc.so"]);
    assertEquals(libcCandidates("x64", "").length, 5);
  });
});

describe("openFirst", () => {
  it("opens the first that can be opened, and tries no more", () => {
    const tried: string[] = [];
    const open = (path: string) => {
      tried.push(path);
      if (path === "a") throw new Error("a: not found");
      return path.toUpperCase();
    };
    assertEquals(openFirst(["a", "b", "c"], open), "B");
    assertEquals(tried, ["a", "b"]);
  });

  it("lists what was tried when none can be", () => {
    const open = (path: string): never => {
      throw new Error(`${path}: not found`);
    };
    assertThrows(() => openFirst(["a", "b"], open), Error, "cannot open libc (a: not found; b: not found)");
  });

  it("lists what is thrown that is no error", () => {
    const open = (): never => {
      throw "text";
    };
    assertThrows(() => openFirst(["a"], open), Error, "(text)");
  });

  for (const name of ["NotCapable", "PermissionDenied"]) {
    it(`passes ${name} on as it is`, () => {
      const error = denied(name);
      const open = (path: string): never => {
        throw path === "b" ? error : new Error("not found");
      };
      assertStrictEquals(assertThrows(() => openFirst(["a", "b", "c"], open)), error);
    });
  }

  it("opens a later path that is granted", () => {
    const open = (path: string) => {
      if (path !== "c") throw denied("NotCapable");
      return path;
    };
    assertEquals(openFirst(["a", "b", "c"], open), "c");
  });
});

describe("environment", () => {
  it("reads a variable", () => {
    assert(environment("PATH"));
    assertStrictEquals(environment("MPTCP_NO_SUCH_VARIABLE"), undefined);
  });
});
