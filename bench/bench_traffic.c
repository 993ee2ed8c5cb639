/*
 * Traffic at an even rate, for the running programs to look at: packets of connections that go on and on, written to an
 * interface as they are.
 *
 *     bench_traffic IFACE request|reply CONNECTIONS PACKETS-A-SECOND SECONDS
 *
 * Half of the connections are UDP, half TCP segments with data; "request" sends one direction of them and "reply" the
 * other. They are addressed to nobody: the stack throws them away behind the hooks.
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/base/cleanup.h"

#define BYTES 64 /* of payload */
#define STEP_NS 1000000
#define BURST 256 /* packets of one step: 256,000 a second */

struct frame {
	struct ethhdr eth;
	struct iphdr ip;
	union {
		struct tcphdr tcp;
		struct udphdr udp;
	};
	unsigned char payload[BYTES];
} __attribute__((packed));

struct sender {
	int fd;
	bool reply;
	unsigned connections, next;
	struct frame frame[BURST];
	struct iovec iov[BURST];
	struct mmsghdr msg[BURST];
};

static uint16_t ip_checksum(const struct iphdr *ip)
{
	uint16_t w[sizeof(*ip) / 2];
	uint32_t sum = 0;

	memcpy(w, ip, sizeof(w));
	for (size_t i = 0; i < PS_ARRAY_SIZE(w); i++)
		sum += w[i];
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t) ~(sum + (sum >> 16));
}

/* The next packet of connection i, its n-th. */
static size_t make(const struct sender *s, unsigned i, uint32_t n, struct frame *f)
{
	uint32_t client = 0x0a400001u + i / 60000, server = 0x0a410001u;
	uint16_t port = htons((uint16_t)(2000 + i % 60000)), service = htons(i % 2 ? 443 : 4433);
	size_t l4 = i % 2 ? sizeof(f->tcp) : sizeof(f->udp);
	struct iphdr ip;

	*f = (struct frame){
		.eth = {.h_dest = {2, 0, 0, 0, 0, 99}, .h_source = {2, 0, 0, 0, 0, 98}, .h_proto = htons(ETH_P_IP)},
		.ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = i % 2 ? IPPROTO_TCP : IPPROTO_UDP},
	};
	f->ip.tot_len = htons((uint16_t)(sizeof(f->ip) + l4 + BYTES));
	f->ip.saddr = htonl(s->reply ? server : client);
	f->ip.daddr = htonl(s->reply ? client : server);
	ip = f->ip;
	f->ip.check = ip_checksum(&ip);
	if (i % 2) {
		f->tcp.source = s->reply ? service : port;
		f->tcp.dest = s->reply ? port : service;
		f->tcp.seq = htonl(1000 + n * BYTES);
		f->tcp.ack_seq = htonl(1000 + n * BYTES);
		f->tcp.ack = f->tcp.psh = 1;
		f->tcp.doff = sizeof(f->tcp) / 4;
		f->tcp.window = htons(65535);
	} else {
		f->udp.source = s->reply ? service : port;
		f->udp.dest = s->reply ? port : service;
		f->udp.len = htons(sizeof(f->udp) + BYTES);
	}
	memset((char *)f + offsetof(struct frame, tcp) + l4, 'x', BYTES);
	return sizeof(f->eth) + sizeof(f->ip) + l4 + BYTES;
}

static unsigned send_some(struct sender *s, unsigned n, uint32_t round)
{
	int sent;

	for (unsigned k = 0; k < n; k++) {
		unsigned i = (s->next + k) % s->connections;

		s->iov[k] =
			(struct iovec){&s->frame[k], make(s, i, round + (s->next + k) / s->connections, &s->frame[k])};
		s->msg[k] = (struct mmsghdr){.msg_hdr = {.msg_iov = &s->iov[k], .msg_iovlen = 1}};
	}
	sent = sendmmsg(s->fd, s->msg, n, 0);
	return sent < 0 ? 0 : (unsigned)sent;
}

static uint64_t now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

/* As many as are due by the clock: a step that came late is made up for. */
static uint64_t run(struct sender *s, uint64_t rate, uint64_t seconds)
{
	uint64_t begun = now(), total = 0, due;

	for (uint64_t passed = 0; passed < seconds * 1000000000ull; passed = now() - begun) {
		due = passed / 1000 * rate / 1000000;
		while (total < due) {
			unsigned n = (unsigned)PS_MIN(due - total, (uint64_t)BURST);
			unsigned sent = send_some(s, n, (uint32_t)(total / s->connections));

			if (!sent)
				break;
			s->next = (s->next + sent) % s->connections;
			total += sent;
		}
		(void)nanosleep(&(struct timespec){.tv_nsec = STEP_NS}, NULL);
	}
	return total;
}

int main(int argc, char **argv)
{
	static struct sender s;
	struct sockaddr_ll to = {.sll_family = AF_PACKET};

	if (argc != 6) {
		(void)fprintf(stderr, "bench_traffic IFACE request|reply CONNECTIONS PACKETS-A-SECOND SECONDS\n");
		return 2;
	}
	to.sll_ifindex = (int)if_nametoindex(argv[1]);
	s.reply = strcmp(argv[2], "reply") == 0;
	s.connections = (unsigned)PS_MAX(strtoul(argv[3], NULL, 10), 1ul);
	s.fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0); /* protocol 0: it hears nothing */
	if (s.fd < 0 || bind(s.fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		perror(argv[1]);
		return 1;
	}
	printf("%llu\n", (unsigned long long)run(&s, strtoull(argv[4], NULL, 10), strtoull(argv[5], NULL, 10)));
	(void)close(s.fd);
	return 0;
}
