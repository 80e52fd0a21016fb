/**
 * The errno table of Linux (`<asm-generic/errno.h>`): number, name, meaning. Names and numbers are the kernel's.
 *
 * @module
 */

const TABLE: readonly (readonly [number: number, name: string, meaning: string])[] = [
  [1, "EPERM", "operation not permitted"],
  [2, "ENOENT", "no such file or object"],
  [3, "ESRCH", "no such object"],
  [4, "EINTR", "interrupted by a signal"],
  [5, "EIO", "input or output error"],
  [6, "ENXIO", "no such device or address"],
  [9, "EBADF", "bad file descriptor"],
  [11, "EAGAIN", "the operation would block"],
  [12, "ENOMEM", "out of memory"],
  [13, "EACCES", "permission denied"],
  [14, "EFAULT", "bad address"],
  [16, "EBUSY", "device or resource busy"],
  [17, "EEXIST", "already exists"],
  [19, "ENODEV", "no such device"],
  [20, "ENOTDIR", "not a directory"],
  [21, "EISDIR", "is a directory"],
  [22, "EINVAL", "invalid argument"],
  [23, "ENFILE", "too many open files in the system"],
  [24, "EMFILE", "too many open files in this process"],
  [28, "ENOSPC", "no space left"],
  [30, "EROFS", "read-only file system"],
  [32, "EPIPE", "the other side no longer reads"],
  [33, "EDOM", "argument out of domain"],
  [34, "ERANGE", "result out of range"],
  [38, "ENOSYS", "the kernel does not have this call"],
  [61, "ENODATA", "no data"],
  [71, "EPROTO", "protocol error"],
  [74, "EBADMSG", "malformed message"],
  [75, "EOVERFLOW", "value too large"],
  [88, "ENOTSOCK", "not a socket"],
  [89, "EDESTADDRREQ", "destination address required"],
  [90, "EMSGSIZE", "message too long"],
  [91, "EPROTOTYPE", "wrong protocol type for the socket"],
  [92, "ENOPROTOOPT", "protocol or option not available"],
  [93, "EPROTONOSUPPORT", "protocol not supported"],
  [94, "ESOCKTNOSUPPORT", "socket type not supported"],
  [95, "EOPNOTSUPP", "operation not supported"],
  [97, "EAFNOSUPPORT", "address family not supported"],
  [98, "EADDRINUSE", "address already in use"],
  [99, "EADDRNOTAVAIL", "address not available on this host"],
  [100, "ENETDOWN", "the network is down"],
  [101, "ENETUNREACH", "the network is unreachable"],
  [102, "ENETRESET", "connection dropped by a network reset"],
  [103, "ECONNABORTED", "connection aborted"],
  [104, "ECONNRESET", "connection reset by the peer"],
  [105, "ENOBUFS", "no buffer space left"],
  [106, "EISCONN", "already connected"],
  [107, "ENOTCONN", "not connected"],
  [108, "ESHUTDOWN", "the sending side is shut down"],
  [110, "ETIMEDOUT", "timed out"],
  [111, "ECONNREFUSED", "connection refused"],
  [112, "EHOSTDOWN", "the host is down"],
  [113, "EHOSTUNREACH", "no route to the host"],
  [114, "EALREADY", "already in progress"],
  [115, "EINPROGRESS", "in progress"],
  [125, "ECANCELED", "cancelled"],
];

const byNumber: ReadonlyMap<number, string> = new Map(TABLE.map(([number, name]) => [number, name]));
const byName: ReadonlyMap<string, number> = new Map(TABLE.map(([number, name]) => [name, number]));
const meanings: ReadonlyMap<string, string> = new Map(TABLE.map(([, name, meaning]) => [name, meaning]));

/** The name of an errno, given with either sign: `errnoName(-111)` is `"ECONNREFUSED"`. */
export function errnoName(errno: number): string {
  return byNumber.get(Math.abs(errno)) ?? `E${Math.abs(errno)}`;
}

/** The positive number of an errno name, or `undefined` for a name that is not in the table. */
export function errnoNumber(name: string): number | undefined {
  return byName.get(name);
}

/** Codes that are no errno: the resolver's, with libuv's numbers as in Node, and this package's own. */
const OTHERS: ReadonlyMap<string, number> = new Map([
  ["UNSUPPORTED", 95],
  ["EAI_ADDRFAMILY", 3000],
  ["EAI_AGAIN", 3001],
  ["EAI_BADFLAGS", 3002],
  ["EAI_CANCELED", 3003],
  ["EAI_FAIL", 3004],
  ["EAI_FAMILY", 3005],
  ["EAI_MEMORY", 3006],
  ["EAI_NODATA", 3007],
  ["ENOTFOUND", 3008],
  ["EAI_NONAME", 3008],
  ["EAI_OVERFLOW", 3009],
  ["EAI_SERVICE", 3010],
  ["EAI_SOCKTYPE", 3011],
]);

/** The positive number for any code of an error: of those that nobody has numbered (TLS's) `EPROTO`'s. */
export function codeNumber(code: string): number {
  const nameless = /^E([1-9]\d{0,3})$/.exec(code);
  return byName.get(code) ?? OTHERS.get(code) ?? (nameless ? Number(nameless[1]) : EPROTO);
}

/** What an errno name means, in words. */
export function errnoMeaning(name: string): string {
  return meanings.get(name) ?? "system error";
}

export const EPERM = 1;
export const ENOENT = 2;
export const EINTR = 4;
export const EBADF = 9;
export const EAGAIN = 11;
export const EACCES = 13;
export const EEXIST = 17;
export const EINVAL = 22;
export const EPIPE = 32;
export const EPROTO = 71;
export const EBADMSG = 74;
export const EOVERFLOW = 75;
export const ENOPROTOOPT = 92;
export const EPROTONOSUPPORT = 93;
export const EOPNOTSUPP = 95;
export const EAFNOSUPPORT = 97;
export const EADDRNOTAVAIL = 99;
export const EISCONN = 106;
export const ENOTCONN = 107;
export const ETIMEDOUT = 110;
export const EALREADY = 114;
export const EINPROGRESS = 115;
export const ECANCELED = 125;
