/*
 * Many connections side by side, through a relay: the load, and the far end. bench/relay.ts compiles it.
 *
 *   relay_load serve tcp|mptcp                                     echoes; prints {"port":N}
 *   relay_load client tcp|mptcp port seconds connections           each sends 1 KiB, waits for it to come back, and again
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
#ifndef TCP_IS_MPTCP
#define TCP_IS_MPTCP 43
#endif

enum { MESSAGE = 1024, BATCH = 256 };

static int protocol;
static char bytes[1 << 16];

static void die(const char *what) {
  perror(what);
  exit(1);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void watch(int poll, int fd) {
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
}

static void no_delay(int fd) {
  int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static _Noreturn void serve(void) {
  struct sockaddr_in address = {.sin_family = AF_INET};
  socklen_t length = sizeof address;
  struct epoll_event ready[BATCH];
  int poll = epoll_create1(EPOLL_CLOEXEC), listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, protocol);
  if (listener < 0 || bind(listener, (struct sockaddr *)&address, length) < 0 || listen(listener, 4096) < 0) die("listen");
  getsockname(listener, (struct sockaddr *)&address, &length);
  printf("{\"port\":%d}\n", ntohs(address.sin_port));
  fflush(stdout);
  watch(poll, listener);
  for (;;) {
    int count = epoll_wait(poll, ready, BATCH, -1);
    for (int i = 0; i < count; i++) {
      int fd = ready[i].data.fd;
      if (fd == listener) {
        if ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) < 0) continue;
        no_delay(fd);
        watch(poll, fd);
        continue;
      }
      ssize_t got = recv(fd, bytes, sizeof bytes, 0);
      if (got > 0) send(fd, bytes, got, MSG_NOSIGNAL);
      else if (got == 0 || errno != EAGAIN) close(fd);
    }
  }
}

static int is_mptcp(int fd) {
  int value = 0;
  socklen_t length = sizeof value;
  return getsockopt(fd, IPPROTO_TCP, TCP_IS_MPTCP, &value, &length) == 0 && value == 1;
}

static void client(int port, double seconds, int connections) {
  struct sockaddr_in target = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct epoll_event ready[BATCH];
  int poll = epoll_create1(EPOLL_CLOEXEC), mptcp = 0, *missing = NULL, top = 0;
  double *last = NULL, longest = 0;
  long long rounds = 0;
  double began = now();
  for (int i = 0; i < connections; i++) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, protocol);
    if (fd < 0 || connect(fd, (struct sockaddr *)&target, sizeof target) < 0) die("connect");
    no_delay(fd);
    mptcp += is_mptcp(fd);
    missing = realloc(missing, (fd + 1) * sizeof *missing);
    last = realloc(last, (fd + 1) * sizeof *last);
    for (; top < fd; top++) last[top] = 0; /* no connection has this descriptor */
    missing[fd] = MESSAGE;
    last[fd] = now();
    top = fd + 1;
    watch(poll, fd);
    if (send(fd, bytes, MESSAGE, MSG_NOSIGNAL) != MESSAGE) die("send");
  }
  double start = now();
  while (now() - start < seconds) {
    int count = epoll_wait(poll, ready, BATCH, 1000);
    if (count == 0) break;
    for (int i = 0; i < count; i++) {
      int fd = ready[i].data.fd;
      ssize_t got = recv(fd, bytes, missing[fd], MSG_DONTWAIT);
      if (got <= 0) {
        if (got < 0 && errno == EAGAIN) continue;
        die("recv");
      }
      if ((missing[fd] -= got) > 0) continue;
      rounds++;
      missing[fd] = MESSAGE;
      last[fd] = now();
      if (send(fd, bytes, MESSAGE, MSG_NOSIGNAL) != MESSAGE) die("send");
    }
  }
  double end = now();
  for (int fd = 0; fd < top; fd++)
    if (last[fd] > 0 && end - last[fd] > longest) longest = end - last[fd];
  /* `waiting`: the longest wait of a connection at the end: one that was forgotten shows */
  printf("{\"count\":%lld,\"seconds\":%.6f,\"connecting\":%.6f,\"waiting\":%.6f,\"mptcp\":%s}\n", rounds, end - start,
         start - began, longest, mptcp == connections ? "true" : "false");
  fflush(stdout);
}

int main(int argc, char **argv) {
  struct rlimit limit;
  if (argc < 3) return 2;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  signal(SIGPIPE, SIG_IGN);
  protocol = strcmp(argv[2], "mptcp") ? IPPROTO_TCP : IPPROTO_MPTCP;
  if (!strcmp(argv[1], "serve")) serve();
  if (argc < 6) return 2;
  client(atoi(argv[3]), atof(argv[4]), atoi(argv[5]));
  return 0;
}
