/*
 * vsftpd asks for SO_OOBINLINE and ends when it does not get it. MPTCP has no urgent data, so the kernel refuses: this answers
 * for it. Preloaded beside mptcpize's own library.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/socket.h>

int setsockopt(int fd, int level, int name, const void *value, socklen_t size) {
  if (level == SOL_SOCKET && name == SO_OOBINLINE) return 0;
  int (*next)(int, int, int, const void *, socklen_t) = dlsym(RTLD_NEXT, "setsockopt");
  return next(fd, level, name, value, size);
}
