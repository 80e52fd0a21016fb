/**
 * What a person can do about failed system calls, where the call and its errno tell enough.
 *
 * @module
 */

const ANYWHERE: Readonly<Record<string, string>> = {
  EMFILE: "`ulimit -n` tells how many descriptors a process may have open",
  ENFILE: "the whole host has as many files open as fs.file-max allows",
};

const UNREACHABLE = "`ip route get ADDRESS` tells which way it would go";

const BY_CALL: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  bind: {
    EADDRINUSE: "`ss -ltnpM` and `ss -ltnp` name who has it; port 0 takes a free one",
    EADDRNOTAVAIL: "`ip address` lists the addresses of this host",
    EACCES: "ports below net.ipv4.ip_unprivileged_port_start (1024) need CAP_NET_BIND_SERVICE",
  },
  connect: {
    ECONNREFUSED: "nobody listens there",
    ETIMEDOUT: "nothing answered: the host is down, or a firewall drops what is sent to it",
    ENETUNREACH: UNREACHABLE,
    EHOSTUNREACH: UNREACHABLE,
    EADDRNOTAVAIL: "this host has no address, or no free port, to connect from",
  },
  socket: {
    EAFNOSUPPORT: "this host does not have the address's family",
  },
};

/** A hint for a failed call, if there is one. */
export function hintFor(syscall: string, code: string): string | undefined {
  return BY_CALL[syscall === "listen" ? "bind" : syscall]?.[code] ?? ANYWHERE[code];
}
