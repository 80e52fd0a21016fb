/**
 * Numbers of the Linux user-space ABI, under the kernel's own names. They are the same on x86-64 and arm64.
 *
 * @module
 */

// <linux/socket.h>
export const AF_INET = 2;
export const AF_INET6 = 10;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
/** Also `O_NONBLOCK`. */
export const SOCK_NONBLOCK = 0o4000;
/** Also `O_CLOEXEC`. */
export const SOCK_CLOEXEC = 0o2000000;
export const SOL_SOCKET = 1;
export const MSG_DONTWAIT = 0x40;
export const MSG_NOSIGNAL = 0x4000;
export const SHUT_WR = 1;
export const SHUT_RDWR = 2;

/** <linux/fcntl.h> */
export const F_DUPFD_CLOEXEC = 1030;

// <linux/in.h>
export const IPPROTO_IP = 0;
export const IPPROTO_TCP = 6;
export const IPPROTO_IPV6 = 41;
export const IPPROTO_MPTCP = 262;
export const IP_BIND_ADDRESS_NO_PORT = 24;
/** <linux/in6.h> */
export const IPV6_V6ONLY = 26;

// <asm-generic/socket.h>
export const SO_REUSEADDR = 2;
export const SO_ERROR = 4;
export const SO_SNDBUF = 7;
export const SO_RCVBUF = 8;
export const SO_KEEPALIVE = 9;
export const SO_LINGER = 13;
export const SO_REUSEPORT = 15;
export const SO_ATTACH_FILTER = 26;
export const SO_ACCEPTCONN = 30;
export const SO_RCVBUFFORCE = 33;
export const SO_PROTOCOL = 38;
export const SO_COOKIE = 57;
export const SO_MEMINFO = 55;
export const SO_BINDTOIFINDEX = 62;

// <linux/tcp.h>
export const TCP_NODELAY = 1;
export const TCP_KEEPIDLE = 4;
export const TCP_KEEPINTVL = 5;
export const TCP_INFO = 11;
export const TCP_CONGESTION = 13;
export const TCP_REPAIR = 19;
/** Since Linux 6.10. */
export const TCP_IS_MPTCP = 43;

// <linux/mptcp.h>
export const SOL_MPTCP = 284;
export const MPTCP_INFO = 1;
export const MPTCP_TCPINFO = 2;
export const MPTCP_SUBFLOW_ADDRS = 3;
/** Since Linux 6.5. */
export const MPTCP_FULL_INFO = 4;

/** <asm-generic/poll.h> */
export const POLLOUT = 0x004;

// <linux/eventpoll.h>
export const EPOLL_CTL_ADD = 1;
export const EPOLL_CTL_DEL = 2;
export const EPOLL_CTL_MOD = 3;
export const EPOLLIN = 0x001;
export const EPOLLOUT = 0x004;
export const EPOLLERR = 0x008;
export const EPOLLHUP = 0x010;
export const EPOLLRDHUP = 0x2000;
export const EPOLLEXCLUSIVE = 1 << 28;
export const EPOLLONESHOT = 1 << 30;
export const EPOLLET = 1 << 31;

// <linux/splice.h>
export const SPLICE_F_MOVE = 1;
export const SPLICE_F_NONBLOCK = 2;

/** `enum tcp_state`, <net/tcp_states.h>, by number; the names are the ones `ss` prints. */
export const TCP_STATES: readonly string[] = [
  "UNKNOWN",
  "ESTABLISHED",
  "SYN_SENT",
  "SYN_RECV",
  "FIN_WAIT1",
  "FIN_WAIT2",
  "TIME_WAIT",
  "CLOSE",
  "CLOSE_WAIT",
  "LAST_ACK",
  "LISTEN",
  "CLOSING",
  "NEW_SYN_RECV",
];
export const TCP_ESTABLISHED = 1;
/** The state of a subflow whose row lingers after its death. */
export const TCP_CLOSE = 7;
