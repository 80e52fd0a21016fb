/*
 * The far end of every measurement, and the C program that the runtimes are compared with. bench/run.ts compiles it.
 *
 *   peer serve  sink|source|echo|drop|accept|http  tcp|mptcp  [congestion [receive-buffer]]
 *   peer client send|receive|ping|connect|connect100|accept  tcp|mptcp  address port seconds  [congestion [receive-buffer]]
 *
 * A server prints {"port":N}, then one line for each connection it has served (not `drop`, `accept` and `http`: too many). A client
 * prints one line. Whoever receives looks for stalls: waits of 100 ms and more in a stream that never pauses by itself.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
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

enum { CHUNK = 256 * 1024, PING = 64, PARALLEL = 100, CLIENTS = 8 };
static const double STALL = 0.1;

static int protocol;
static const char *congestion;
static int receive_buffer;
static char bytes[CHUNK];

static void die(const char *what) {
  perror(what);
  exit(1);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static double cpu(void) {
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  return u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static int make_socket(int flags) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, protocol);
  if (fd < 0) die("socket");
  if (congestion && *congestion && setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, congestion, strlen(congestion)) < 0)
    die("TCP_CONGESTION");
  if (receive_buffer > 0 && setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer) < 0)
    die("SO_RCVBUF");
  return fd;
}

/* 1 when the connection speaks MPTCP now; a plain TCP socket does not know the option. */
static int is_mptcp(int fd) {
  int value = 0;
  socklen_t length = sizeof value;
  return getsockopt(fd, IPPROTO_TCP, TCP_IS_MPTCP, &value, &length) == 0 && value == 1;
}

/* What a run has moved, and how. */
struct run {
  double start, cpu, last, longest;
  long long bytes;
  int stalls, mptcp;
};

static void begin(struct run *run, int fd) {
  memset(run, 0, sizeof *run);
  run->mptcp = is_mptcp(fd);
  run->cpu = cpu();
  run->start = run->last = now();
}

static void moved(struct run *run, ssize_t count) {
  double time = now(), gap = time - run->last;
  run->last = time;
  run->bytes += count;
  if (gap > run->longest) run->longest = gap;
  if (gap >= STALL) run->stalls++;
}

static void report(const struct run *run, long long count) {
  printf("{\"bytes\":%lld,\"count\":%lld,\"seconds\":%.6f,\"cpu\":%.6f,\"stalls\":%d,\"longest\":%.4f,\"mptcp\":%s}\n", run->bytes,
         count, now() - run->start, cpu() - run->cpu, run->stalls, run->longest, run->mptcp ? "true" : "false");
  fflush(stdout);
}

/* ── Servers ── */

static void serve_sink(int fd) {
  struct run run;
  ssize_t count = recv(fd, bytes, CHUNK, 0);
  begin(&run, fd); /* the clock starts with the first byte */
  while (count > 0) {
    moved(&run, count);
    count = recv(fd, bytes, CHUNK, 0);
  }
  report(&run, 0);
}

static void serve_source(int fd) {
  struct run run;
  ssize_t count;
  /* A client that closes while it has nothing unread sends no reset; MPTCP then leaves us waiting for window, for a minute. */
  struct timeval timeout = {.tv_sec = 1};
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
  begin(&run, fd);
  while ((count = send(fd, bytes, CHUNK, MSG_NOSIGNAL)) > 0) run.bytes += count;
  report(&run, 0);
}

static void serve_echo(int fd) {
  struct run run;
  long long rounds = 0;
  ssize_t count;
  begin(&run, fd);
  while ((count = recv(fd, bytes, CHUNK, 0)) > 0 && send(fd, bytes, count, MSG_NOSIGNAL) == count) rounds++;
  report(&run, rounds);
}

/* One client's requests, each `GET /<bytes>`. The answer tells whether it goes by MPTCP. */
static void *serve_http(void *argument) {
  int fd = (int)(long)argument, one = 1, have = 0;
  char request[16384];
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  for (;;) {
    ssize_t count = recv(fd, request + have, sizeof request - 1 - have, 0);
    if (count <= 0) break;
    have += count;
    request[have] = 0;
    for (char *end; (end = strstr(request, "\r\n\r\n"));) {
      long long body = 0;
      sscanf(request, "GET /%lld", &body);
      char answer[512];
      int length = snprintf(answer, sizeof answer,
                            "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: text/plain\r\n"
                            "Content-Length: %lld\r\nX-Mptcp: %d\r\n\r\n",
                            body, is_mptcp(fd));
      if (body < 256) {
        memset(answer + length, 'x', body);
        length += body;
        body = 0;
      }
      if (send(fd, answer, length, MSG_NOSIGNAL) != length) goto out;
      while (body > 0) {
        ssize_t sent = send(fd, bytes, body < CHUNK ? body : CHUNK, MSG_NOSIGNAL);
        if (sent <= 0) goto out;
        body -= sent;
      }
      have -= end + 4 - request;
      memmove(request, end + 4, have + 1);
    }
  }
out:
  close(fd);
  return NULL;
}

/* Accepts everything and closes each connection after its client has. */
static void serve_drop(int listener) {
  int poll = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, ready[64];
  epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
  for (;;) {
    int count = epoll_wait(poll, ready, 64, -1);
    for (int i = 0; i < count; i++) {
      int fd = ready[i].data.fd;
      if (fd != listener) {
        if (recv(fd, bytes, CHUNK, MSG_DONTWAIT) <= 0 && errno != EAGAIN) close(fd);
        continue;
      }
      fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (fd < 0) continue;
      event.events = EPOLLIN | EPOLLRDHUP;
      event.data.fd = fd;
      epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
    }
  }
}

static _Noreturn void serve(const char *service) {
  struct sockaddr_in address = {.sin_family = AF_INET};
  socklen_t length = sizeof address;
  int listener = make_socket(0);
  if (bind(listener, (struct sockaddr *)&address, length) < 0 || listen(listener, 4096) < 0) die("listen");
  getsockname(listener, (struct sockaddr *)&address, &length);
  printf("{\"port\":%d}\n", ntohs(address.sin_port));
  fflush(stdout);
  if (!strcmp(service, "drop")) serve_drop(listener);
  for (;;) {
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) die("accept");
    if (!strcmp(service, "http")) {
      pthread_t thread;
      if (pthread_create(&thread, NULL, serve_http, (void *)(long)fd) != 0) die("pthread_create");
      pthread_detach(thread);
      continue;
    }
    if (!strcmp(service, "sink")) serve_sink(fd);
    else if (!strcmp(service, "source")) serve_source(fd);
    else if (!strcmp(service, "echo")) serve_echo(fd);
    close(fd); /* `accept`: at once */
  }
}

/* ── Clients ── */

static struct sockaddr_in target;
static double seconds;

static int dial(int flags) {
  int fd = make_socket(flags);
  if (connect(fd, (struct sockaddr *)&target, sizeof target) < 0 && errno != EINPROGRESS) die("connect");
  return fd;
}

static void client_send(void) {
  struct run run;
  int fd = dial(0);
  begin(&run, fd);
  while (now() - run.start < seconds) {
    ssize_t count = send(fd, bytes, CHUNK, MSG_NOSIGNAL);
    if (count < 0) die("send");
    run.bytes += count;
  }
  shutdown(fd, SHUT_WR);
  recv(fd, bytes, 1, 0); /* until the sink has it all */
  report(&run, 0);
}

static void client_receive(void) {
  struct run run;
  int fd = dial(0);
  begin(&run, fd);
  while (run.last - run.start < seconds) {
    ssize_t count = recv(fd, bytes, CHUNK, 0);
    if (count <= 0) die("recv");
    moved(&run, count);
  }
  report(&run, 0);
}

static void client_ping(void) {
  struct run run;
  long long rounds = 0;
  int fd = dial(0);
  begin(&run, fd);
  while (now() - run.start < seconds) {
    if (send(fd, bytes, PING, MSG_NOSIGNAL) != PING) die("send");
    if (recv(fd, bytes, PING, MSG_WAITALL) != PING) die("recv");
    rounds++;
  }
  report(&run, rounds);
}

static void client_connect(void) {
  struct run run;
  long long count = 0;
  begin(&run, -1);
  for (; now() - run.start < seconds; count++) {
    int fd = dial(0);
    run.mptcp = is_mptcp(fd);
    close(fd);
  }
  report(&run, count);
}

static void client_connect100(void) {
  struct run run;
  long long count = 0;
  int poll = epoll_create1(EPOLL_CLOEXEC), fds[PARALLEL];
  begin(&run, -1);
  while (now() - run.start < seconds) {
    struct epoll_event event = {.events = EPOLLOUT | EPOLLONESHOT}, ready[PARALLEL];
    for (int i = 0; i < PARALLEL; i++) {
      event.data.fd = fds[i] = dial(SOCK_NONBLOCK);
      epoll_ctl(poll, EPOLL_CTL_ADD, fds[i], &event);
    }
    for (int waiting = PARALLEL; waiting > 0;) waiting -= epoll_wait(poll, ready, PARALLEL, -1);
    run.mptcp = is_mptcp(fds[0]);
    for (int i = 0; i < PARALLEL; i++) close(fds[i]);
    count += PARALLEL;
  }
  report(&run, count);
}

struct tally {
  long long count;
  int mptcp;
};

/* One of the clients that keep a server accepting: connects, waits for the server to close, closes. */
static void *keep_connecting(void *argument) {
  struct tally *tally = argument;
  char byte;
  tally->count = 0;
  for (double start = now(); now() - start < seconds; tally->count++) {
    int fd = dial(0);
    if (tally->count == 0) tally->mptcp = is_mptcp(fd);
    recv(fd, &byte, 1, 0);
    close(fd);
  }
  return NULL;
}

static void client_accept(void) {
  struct run run;
  pthread_t threads[CLIENTS];
  struct tally results[CLIENTS];
  long long count = 0;
  begin(&run, -1);
  for (int i = 0; i < CLIENTS; i++) pthread_create(&threads[i], NULL, keep_connecting, &results[i]);
  for (int i = 0; i < CLIENTS; i++) {
    pthread_join(threads[i], NULL);
    count += results[i].count;
    run.mptcp = results[i].mptcp;
  }
  report(&run, count);
}

static int client(const char *what) {
  if (!strcmp(what, "send")) client_send();
  else if (!strcmp(what, "receive")) client_receive();
  else if (!strcmp(what, "ping")) client_ping();
  else if (!strcmp(what, "connect")) client_connect();
  else if (!strcmp(what, "connect100")) client_connect100();
  else if (!strcmp(what, "accept")) client_accept();
  else return 2;
  return 0;
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  int serving = !strcmp(argv[1], "serve"), rest = serving ? 4 : 7;
  protocol = strcmp(argv[3], "mptcp") ? IPPROTO_TCP : IPPROTO_MPTCP;
  if (argc > rest) congestion = argv[rest];
  if (argc > rest + 1) receive_buffer = atoi(argv[rest + 1]);
  signal(SIGPIPE, SIG_IGN);
  if (serving) serve(argv[2]);
  if (argc < 7) return 2;
  target.sin_family = AF_INET;
  target.sin_port = htons(atoi(argv[5]));
  if (inet_pton(AF_INET, argv[4], &target.sin_addr) != 1) return 2;
  seconds = atof(argv[6]);
  return client(argv[2]);
}
