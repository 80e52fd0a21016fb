/*
 * The other end of a connection, as peer.py, but with nothing between it and the system calls:
 *
 *     peer listen|connect ADDRESS PORT mptcp|tcp echo|sink|send [BYTES]
 *
 * The same JSON lines, without the bytes of each path. One connection at a time.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PROTO_MPTCP = 262, LEVEL_MPTCP = 284, OPT_MPTCP_INFO = 1, BLOCK = 1 << 16 };

/* SHA-256 (FIPS 180-4) */

struct sha256 {
	uint32_t state[8];
	uint64_t length;
	uint8_t block[64];
};

static const uint32_t ROUND[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotated(uint32_t x, int n) { return x >> n | x << (32 - n); }

static void sha256_start(struct sha256 *h)
{
	static const uint32_t start[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
					   0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };
	memcpy(h->state, start, sizeof start);
	h->length = 0;
}

static void sha256_block(struct sha256 *h)
{
	uint32_t w[64], v[8];
	for (int i = 0; i < 16; i++) {
		uint32_t big;
		memcpy(&big, h->block + 4 * i, 4);
		w[i] = ntohl(big);
	}
	for (int i = 16; i < 64; i++) {
		uint32_t a = w[i - 15], b = w[i - 2];
		w[i] = w[i - 16] + (rotated(a, 7) ^ rotated(a, 18) ^ a >> 3) + w[i - 7] +
		       (rotated(b, 17) ^ rotated(b, 19) ^ b >> 10);
	}
	memcpy(v, h->state, sizeof v);
	for (int i = 0; i < 64; i++) {
		uint32_t e = v[4], a = v[0];
		uint32_t one = v[7] + (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)) +
			       ((e & v[5]) ^ (~e & v[6])) + ROUND[i] + w[i];
		uint32_t two = (rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) +
			       ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));
		memmove(v + 1, v, 7 * sizeof *v);
		v[4] += one;
		v[0] = one + two;
	}
	for (int i = 0; i < 8; i++)
		h->state[i] += v[i];
}

static void sha256_add(struct sha256 *h, const uint8_t *data, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		h->block[h->length++ % 64] = data[i];
		if (h->length % 64 == 0)
			sha256_block(h);
	}
}

static void sha256_print(struct sha256 h)
{
	uint64_t bits = h.length * 8;
	uint8_t one = 0x80, zero = 0, tail[8];
	for (int i = 0; i < 8; i++)
		tail[i] = bits >> (56 - 8 * i);
	sha256_add(&h, &one, 1);
	while (h.length % 64 != 56)
		sha256_add(&h, &zero, 1);
	sha256_add(&h, tail, 8);
	for (int i = 0; i < 8; i++)
		printf("%08x", h.state[i]);
}

/* One connection */

static int is_mptcp(int fd)
{
	uint8_t info[256];
	socklen_t length = sizeof info;
	return getsockopt(fd, LEVEL_MPTCP, OPT_MPTCP_INFO, info, &length) == 0;
}

static const char *name(int error)
{
	const char *text = error ? strerrorname_np(error) : NULL;
	return text ? text : "null";
}

/* Sends what is to be sent and reads what comes, both as they can. */
static void converse(int fd, const char *behaviour, uint64_t total)
{
	static uint8_t in[BLOCK], out[BLOCK];
	struct sha256 sent, received;
	size_t held = 0, offset = 0; /* of `out`: how much is there, and how much of it is gone */
	uint64_t made = 0;
	int echo = !strcmp(behaviour, "echo"), send_all = !strcmp(behaviour, "send");
	int ended = 0, finished = 0, error = 0, mptcp;

	sha256_start(&sent);
	sha256_start(&received);
	mptcp = is_mptcp(fd);
	printf("{\"event\": \"connected\", \"mptcp\": %s}\n", mptcp ? "true" : "false");
	while (!error && !(ended && finished)) {
		if (send_all && offset == held && made < total) {
			held = total - made < BLOCK ? total - made : BLOCK;
			offset = 0;
			for (size_t i = 0; i < held; i++)
				out[i] = (made + i) * 2654435761u >> 13;
			made += held;
		}
		int may_read = !ended && !(echo && offset < held);
		struct pollfd wait = { fd, (may_read ? POLLIN : 0) | (offset < held ? POLLOUT : 0), 0 };
		if (wait.events && poll(&wait, 1, -1) < 0)
			break;
		if (may_read && wait.revents & (POLLIN | POLLHUP | POLLERR)) {
			ssize_t count = recv(fd, in, BLOCK, MSG_DONTWAIT);
			if (count > 0) {
				sha256_add(&received, in, count);
				if (echo) {
					memcpy(out, in, count);
					held = count;
					offset = 0;
				}
			} else if (count == 0) {
				ended = 1;
			} else if (errno != EAGAIN) {
				error = errno;
			}
		}
		if (offset < held) {
			ssize_t count = send(fd, out + offset, held - offset, MSG_DONTWAIT | MSG_NOSIGNAL);
			if (count > 0) {
				sha256_add(&sent, out + offset, count);
				offset += count;
			} else if (errno != EAGAIN) {
				error = errno;
			}
		}
		if (!finished && offset == held && (send_all ? made == total : ended)) {
			mptcp = is_mptcp(fd);
			shutdown(fd, SHUT_WR);
			finished = 1;
		}
	}
	close(fd);
	printf("{\"event\": \"done\", \"mptcp\": %s, \"paths\": [], \"error\": %s%s%s, \"sent\": %llu, \"sentSha256\": \"",
	       mptcp ? "true" : "false", error ? "\"" : "", name(error), error ? "\"" : "",
	       (unsigned long long)sent.length);
	sha256_print(sent);
	printf("\", \"received\": %llu, \"receivedSha256\": \"", (unsigned long long)received.length);
	sha256_print(received);
	printf("\"}\n");
}

static void *end_with_input(void *unused)
{
	char byte;
	while (read(0, &byte, 1) > 0)
		;
	_exit(0);
	return unused;
}

static int failed(const char *what)
{
	perror(what);
	return 1;
}

int main(int argc, char **argv)
{
	if (argc < 6)
		return 2;
	uint64_t total = argc > 6 ? strtoull(argv[6], NULL, 10) : 0;
	int v6 = strchr(argv[2], ':') != NULL, on = 1;
	in_port_t port = htons(atoi(argv[3]));
	struct sockaddr_in in4 = { .sin_family = AF_INET, .sin_port = port };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = port };
	struct sockaddr *address = v6 ? (void *)&in6 : (void *)&in4;
	socklen_t length = v6 ? sizeof in6 : sizeof in4;
	inet_pton(address->sa_family, argv[2], v6 ? (void *)&in6.sin6_addr : (void *)&in4.sin_addr);

	setvbuf(stdout, NULL, _IOLBF, 0);
	pthread_t watcher;
	pthread_create(&watcher, NULL, end_with_input, NULL);

	int fd = socket(address->sa_family, SOCK_STREAM, strcmp(argv[4], "mptcp") ? 0 : PROTO_MPTCP);
	if (fd < 0)
		return failed("socket");
	if (!strcmp(argv[1], "connect")) {
		if (connect(fd, address, length) < 0)
			return failed("connect");
		converse(fd, argv[5], total);
		return 0;
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(fd, address, length) < 0 || listen(fd, 128) < 0)
		return failed("listen");
	getsockname(fd, address, &length);
	printf("{\"event\": \"listening\", \"port\": %d}\n", ntohs(v6 ? in6.sin6_port : in4.sin_port));
	for (;;) {
		int accepted = accept(fd, NULL, NULL);
		if (accepted < 0)
			return failed("accept");
		converse(accepted, argv[5], total);
	}
}
