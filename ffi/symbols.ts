/**
 * The one table of libc symbols. Each adapter turns it into its runtime's own declarations. Nothing else in the package
 * names a C function, and only `libc.ts` calls them.
 *
 * @module
 */

import { debugs, traced } from "./debug.ts";

/**
 * How an argument or a result crosses the boundary. `buffer` is a pointer to bytes of ours, or null. A `ssize_t` result is
 * declared `i32`: no call here moves 2 GiB at once (`libc.ts` sees to it), and a number costs less than a bigint.
 */
export type CType = "i32" | "u32" | "usize" | "buffer" | "pointer";

/** One C function. */
export interface CFunction {
  readonly args: readonly CType[];
  readonly result: "i32" | "u32" | "pointer";
}

export const SYMBOLS = {
  // int socket(int domain, int type, int protocol);
  socket: { args: ["i32", "i32", "i32"], result: "i32" },
  // int bind(int fd, const struct sockaddr *addr, socklen_t len);
  bind: { args: ["i32", "buffer", "u32"], result: "i32" },
  // int listen(int fd, int backlog);
  listen: { args: ["i32", "i32"], result: "i32" },
  // int connect(int fd, const struct sockaddr *addr, socklen_t len);
  connect: { args: ["i32", "buffer", "u32"], result: "i32" },
  // int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags);
  accept4: { args: ["i32", "buffer", "buffer", "i32"], result: "i32" },
  // int shutdown(int fd, int how);
  shutdown: { args: ["i32", "i32"], result: "i32" },
  // int close(int fd);
  close: { args: ["i32"], result: "i32" },
  // int fcntl(int fd, int command, int argument); variadic in C, but alike for an int on every Linux ABI
  fcntl: { args: ["i32", "i32", "i32"], result: "i32" },
  // int dup3(int oldfd, int newfd, int flags);
  dup3: { args: ["i32", "i32", "i32"], result: "i32" },
  // ssize_t send(int fd, const void *buf, size_t len, int flags);
  send: { args: ["i32", "buffer", "usize", "i32"], result: "i32" },
  // ssize_t recv(int fd, void *buf, size_t len, int flags);
  recv: { args: ["i32", "buffer", "usize", "i32"], result: "i32" },
  // int getsockopt(int fd, int level, int name, void *value, socklen_t *len);
  getsockopt: { args: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  // int setsockopt(int fd, int level, int name, const void *value, socklen_t len);
  setsockopt: { args: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  // int getsockname(int fd, struct sockaddr *addr, socklen_t *len);
  getsockname: { args: ["i32", "buffer", "buffer"], result: "i32" },
  // int getpeername(int fd, struct sockaddr *addr, socklen_t *len);
  getpeername: { args: ["i32", "buffer", "buffer"], result: "i32" },
  // unsigned int if_nametoindex(const char *name);
  if_nametoindex: { args: ["buffer"], result: "u32" },
  // int open(const char *path, int flags);
  open: { args: ["buffer", "i32"], result: "i32" },
  // ssize_t read(int fd, void *buf, size_t len);
  read: { args: ["i32", "buffer", "usize"], result: "i32" },
  // ssize_t write(int fd, const void *buf, size_t len);
  write: { args: ["i32", "buffer", "usize"], result: "i32" },
  // long syscall(long number, int command, union bpf_attr *attr, unsigned int size); for bpf(2), which has no function of its
  // own. The kernel reads the low halves of the numbers only, so an int will do for each.
  syscall: { args: ["i32", "i32", "buffer", "u32"], result: "i32" },
  // int flock(int fd, int operation);
  flock: { args: ["i32", "i32"], result: "i32" },
  // int eventfd(unsigned int value, int flags);
  eventfd: { args: ["u32", "i32"], result: "i32" },
  // int epoll_create1(int flags);
  epoll_create1: { args: ["i32"], result: "i32" },
  // int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event);
  epoll_ctl: { args: ["i32", "i32", "i32", "buffer"], result: "i32" },
  // int epoll_wait(int epfd, struct epoll_event *events, int maxevents, int timeout);
  epoll_wait: { args: ["i32", "buffer", "i32", "i32"], result: "i32" },
  // int epoll_pwait(int epfd, struct epoll_event *events, int maxevents, int timeout, const sigset_t *mask); with no mask it
  // is epoll_wait, under a name that no adapter moves to another thread: for threads that have nothing else to do
  epoll_pwait: { args: ["i32", "buffer", "i32", "i32", "buffer"], result: "i32" },
  // int poll(struct pollfd *fds, nfds_t count, int timeout); the kernel reads the low half of the count only
  poll: { args: ["buffer", "u32", "i32"], result: "i32" },
  // int pipe2(int fds[2], int flags);
  pipe2: { args: ["buffer", "i32"], result: "i32" },
  // ssize_t splice(int fd_in, off64_t *off_in, int fd_out, off64_t *off_out, size_t len, unsigned int flags); a length of 32
  // bits will do
  splice: { args: ["i32", "buffer", "i32", "buffer", "u32", "u32"], result: "i32" },
  // void *memcpy(void *dest, const void *src, size_t n); Deno's way to errno and to addresses, see `deno.ts`
  memcpy: { args: ["buffer", "pointer", "usize"], result: "pointer" },
  // int *__errno_location(void);
  __errno_location: { args: [], result: "pointer" },
} as const satisfies Record<string, CFunction>;

/** The name of a symbol. */
export type SymbolName = keyof typeof SYMBOLS;

/** What adapters use by themselves, and not as a call that sets errno. */
const SPECIAL = ["__errno_location", "epoll_wait", "memcpy"] as const;

/** The calls that run on the JavaScript thread. `epoll_wait` blocks: Deno runs it on a thread of its own, see `reactor.ts`. */
export type CallName = Exclude<SymbolName, typeof SPECIAL[number]>;

/** What an adapter gives for each call: the C result as a number, or `-errno`. */
// deno-lint-ignore no-explicit-any
export type RawCalls = Record<CallName, (...args: any[]) => number>;

/** Makes the calls out of what a runtime's `dlopen` gave. */
export function bindCalls(
  // deno-lint-ignore no-explicit-any
  functions: Readonly<Record<string, (...args: any[]) => number>>,
  errno: () => number,
): RawCalls {
  const calls: Partial<RawCalls> = {};
  for (const [name, { args }] of Object.entries(SYMBOLS)) {
    if ((SPECIAL as readonly string[]).includes(name)) continue;
    const call = withErrno(functions[name]!, args.length, errno);
    calls[name as CallName] = debugs("ffi") ? traced(name, call) : call;
  }
  return calls as RawCalls;
}

/**
 * Binds errno to a call: the C result where it is not negative, `-errno` otherwise. errno is read right after the call,
 * on the same thread, before any other call can change it.
 *
 * The arities are spelled out, as a rest parameter costs an array for each call.
 */
// deno-lint-ignore no-explicit-any
function withErrno(call: (...args: any[]) => number, arity: number, errno: () => number): (...args: any[]) => number {
  // deno-lint-ignore no-explicit-any
  type A = any;
  switch (arity) {
    case 1:
      return (a: A) => {
        const result = call(a);
        return result < 0 ? -errno() : result;
      };
    case 2:
      return (a: A, b: A) => {
        const result = call(a, b);
        return result < 0 ? -errno() : result;
      };
    case 3:
      return (a: A, b: A, c: A) => {
        const result = call(a, b, c);
        return result < 0 ? -errno() : result;
      };
    case 4:
      return (a: A, b: A, c: A, d: A) => {
        const result = call(a, b, c, d);
        return result < 0 ? -errno() : result;
      };
    case 5:
      return (a: A, b: A, c: A, d: A, e: A) => {
        const result = call(a, b, c, d, e);
        return result < 0 ? -errno() : result;
      };
    case 6:
      return (a: A, b: A, c: A, d: A, e: A, f: A) => {
        const result = call(a, b, c, d, e, f);
        return result < 0 ? -errno() : result;
      };
    default:
      throw new TypeError(`Cannot bind a call of ${arity} arguments`);
  }
}
