import { assert, assertEquals } from "@std/assert";
import { existsSync, readFileSync } from "node:fs";
import process from "node:process";
import { describe, it } from "node:test";
import { counters, support } from "@mptcp/mptcp";
import { allowsBpf } from "../../paths/privileges.ts";
import { runtime } from "./program.ts";

const hasMptcp = existsSync("/proc/sys/net/mptcp/enabled");

describe("support", () => {
  it("tells the runtime, the platform, the kernel", () => {
    const found = support();
    assertEquals([found.runtime, found.platform], [runtime, process.platform]);
    assertEquals(found.kernel, readFileSync("/proc/sys/kernel/osrelease", "utf8").trim());
  });

  it("tells what the kernel's own files tell", { skip: hasMptcp ? false : "this kernel has no MPTCP" }, () => {
    const { available, enabled, reason, ipv6, sysctls, pathManager, schedulers, limits } = support();
    assertEquals([available, enabled, reason], [true, true, null]);
    assertEquals(ipv6, existsSync("/proc/net/if_inet6"));
    assertEquals(sysctls["enabled"], 1);
    for (const [name, value] of Object.entries(sysctls)) {
      assertEquals(String(value), readFileSync(`/proc/sys/net/mptcp/${name}`, "utf8").trim(), name);
    }
    assert(pathManager === "kernel" || pathManager === "userspace");
    assert(schedulers.includes("default"));
    assert(limits !== null && limits.subflows >= 0 && limits.addAddrAccepted >= 0);
  });

  it("gives advice as commands", () => {
    for (const line of support().advice) assert(/^[a-z]+ .* # \S/.test(line), line);
  });

  it("costs little and never throws", () => {
    for (let i = 0; i < 500; i++) support();
  });

  it("reads capabilities", () => {
    const initial = "         0          0 4294967295\n";
    assertEquals(allowsBpf("Name:\tx\nCapEff:\t000001ffffffffff\n", initial), true);
    assertEquals(allowsBpf("CapEff:\t0000000000000000\n", initial), false);
    assertEquals(allowsBpf("CapEff:\t000000c000000000\n", initial), true, "CAP_BPF and CAP_PERFMON");
    assertEquals(allowsBpf("CapEff:\t0000008000000000\n", initial), false, "CAP_BPF alone");
    assertEquals(allowsBpf("CapEff:\t000001ffffffffff\n", "         0       1000          1\n"), false, "unshare -Ur");
    assertEquals(allowsBpf("", ""), false);
  });
});

describe("counters", () => {
  it("are the kernel's, by its names", { skip: hasMptcp ? false : "this kernel has no MPTCP" }, () => {
    const all = counters();
    assert(Number.isInteger(all["MPCapableSYNRX"]));
    assert(Object.keys(all).length > 40);
  });
});
