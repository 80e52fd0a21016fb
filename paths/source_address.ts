/**
 * Which of our addresses the kernel would use towards a peer.
 *
 * @module
 */
import { system } from "../ffi/mod.ts";
import { AF_INET, AF_INET6, SO_BINDTOIFINDEX, SOCK_CLOEXEC, SOCK_DGRAM, SOL_SOCKET } from "../kernel/constants.ts";
import { check } from "../kernel/error.ts";
import { parseIPv4 } from "../kernel/ip.ts";
import { encodeSockaddr } from "../kernel/sockaddr.ts";
import { localAddress } from "./connection.ts";

/**
 * Asks the routing, by a datagram socket that is connected and sends nothing.
 *
 * @param interfaceIndex Only by this interface; 0 for any.
 * @throws {MptcpError} `ENETUNREACH` and the like, when there is no way.
 */
export function sourceAddress(remote: string, port: number, interfaceIndex = 0): string {
  const { libc } = system()!;
  const family = parseIPv4(remote) === null ? AF_INET6 : AF_INET;
  const fd = check(libc.socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
  try {
    if (interfaceIndex !== 0) check(libc.setInt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, interfaceIndex), "setsockopt");
    check(libc.connect(fd, encodeSockaddr(remote, port)!), "find a route", {
      address: remote,
      hint: `\`ip route get ${remote}\` shows what the kernel knows; localAddress chooses an address by hand`,
    });
    return localAddress(fd).hostname;
  } finally {
    libc.close(fd);
  }
}
