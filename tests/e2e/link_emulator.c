/* SPDX-License-Identifier: MIT */
/*
 * A link with a delay and a loss, for kernels without tc netem: joins two Ethernet interfaces of its network namespace.
 *
 *	link_emulator [--delay-us N] [--loss-ppm N] [--seed N] [--limit N] IFACE_A IFACE_B
 *
 * Every frame that arrives at one is sent by the other after the delay, in the order of arrival, or lost with the given
 * probability (parts per million). The same seed loses the same frames, counted by arrival, each direction having a
 * sequence of its own. "ready" is printed when frames flow; on SIGTERM or SIGINT one line a direction:
 *
 *	IFACE_A IFACE_B received=N lost=N delivered=N queued=N overflow=N oversize=N refused=N missed=N late_us_max=N
 *
 * received = lost + delivered + queued + overflow + oversize + refused. The last four of these, and missed (frames that
 * the kernel could not hand over, which received does not hold), are losses nobody asked for: 0 in a sound experiment.
 *
 * Frames pass with the kernel's virtio header, so that a checksum left to the interface stays left to it. It must be
 * wire-sized frames: segmentation (TSO) and merging (GRO) off where they could make longer ones. VLAN tags do not pass.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/base/cleanup.h"

#define FRAME_MAX 2048u          /* an Ethernet MTU with its headers and the virtio header */
#define LIMIT_DEFAULT 8192u      /* frames under way in one direction: 16 MB, 100 ms at 1 Gbit/s */
#define LIMIT_MAX (1u << 20)     /* 2 GB */
#define SOCKET_BYTES (64 << 20)  /* what the kernel holds while we do not run, counted with its buffers' overhead */
#define DELAY_US_MAX 10000000ull /* 10 s */
#define PPM 1000000u
#define NS_PER_S 1000000000ull
#define BURST 64 /* frames taken from one interface before the other has its turn */

struct frame {
	uint64_t due; /* CLOCK_MONOTONIC, ns */
	uint32_t len; /* virtio header included */
	uint8_t bytes[FRAME_MAX];
};

/* One direction: from the interface of "in" to that of "out". */
struct direction {
	const char *from, *to;
	int in, out;
	uint64_t random; /* state of the generator */
	struct frame *ring;
	uint32_t head, used;
	uint64_t received, lost, delivered, overflow, oversize, refused, late_ns_max;
};

struct settings {
	uint64_t delay_ns;
	uint64_t loss_ppm;
	uint64_t seed;
	uint64_t limit;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* SplitMix64: one addition and one finalizer, every seed is a good one. */
static uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static int fail(const char *what, const char *name)
{
	fprintf(stderr, "link_emulator: %s%s%s: %s\n", what, name ? " " : "", name ? name : "", strerror(errno));
	return -1;
}

/* A packet socket that sees what arrives at the interface, and not what we send there. */
static int packet_socket(const char *iface)
{
	_cleanup_(ps_closep) int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	int on = 1, size = SOCKET_BYTES;

	if (fd < 0)
		return fail("packet socket", NULL);
	at.sll_ifindex = (int)if_nametoindex(iface);
	if (!at.sll_ifindex)
		return fail("interface", iface);
	if (setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) ||
		setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) ||
		setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) ||
		setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)))
		return fail("options of the socket on", iface);
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)))
		return fail("bind to", iface);
	return PS_TAKE_FD(fd);
}

/* Takes what has arrived into the queue. false: nothing is left to take. */
static bool take(struct direction *d, const struct settings *set)
{
	for (int i = 0; i < BURST; i++) {
		bool full = d->used == set->limit;
		struct frame *f = &d->ring[(d->head + d->used) % (set->limit + 1)];
		ssize_t n = recv(d->in, f->bytes, sizeof(f->bytes), MSG_TRUNC);

		if (n < 0)
			return false;
		d->received++;
		if (random_next(&d->random) % PPM < set->loss_ppm) {
			d->lost++;
		} else if (full) {
			d->overflow++;
		} else if ((size_t)n > sizeof(f->bytes)) {
			d->oversize++;
		} else {
			f->len = (uint32_t)n;
			f->due = now_ns() + set->delay_ns;
			d->used++;
		}
	}
	return true;
}

static void give(struct direction *d, const struct settings *set)
{
	uint64_t now = now_ns();

	while (d->used && d->ring[d->head].due <= now) {
		const struct frame *f = &d->ring[d->head];

		if (now - f->due > d->late_ns_max)
			d->late_ns_max = now - f->due;
		if (send(d->out, f->bytes, f->len, 0) == (ssize_t)f->len)
			d->delivered++;
		else
			d->refused++;
		d->head = (d->head + 1) % (uint32_t)(set->limit + 1);
		d->used--;
	}
}

/* Nanoseconds until the next frame is due; -1: there is none. */
static int64_t due_in(const struct direction *d)
{
	uint64_t now = now_ns();

	if (!d->used)
		return -1;
	return d->ring[d->head].due > now ? (int64_t)(d->ring[d->head].due - now) : 0;
}

static int carry(struct direction d[2], int signals, const struct settings *set)
{
	for (;;) {
		struct pollfd fds[] = {{.fd = d[0].in, .events = POLLIN}, {.fd = d[1].in, .events = POLLIN},
			{.fd = signals, .events = POLLIN}};
		int64_t a = due_in(&d[0]), b = due_in(&d[1]);
		int64_t wait = a < 0 || (b >= 0 && b < a) ? b : a;
		struct timespec ts = {.tv_sec = wait / (int64_t)NS_PER_S, .tv_nsec = wait % (int64_t)NS_PER_S};
		bool more;

		if (ppoll(fds, 3, wait < 0 ? NULL : &ts, NULL) < 0 && errno != EINTR)
			return fail("poll", NULL);
		if (fds[2].revents)
			return 0;
		do {
			more = take(&d[0], set);
			more |= take(&d[1], set);
			give(&d[0], set);
			give(&d[1], set);
		} while (more);
	}
}

static void print_direction(const struct direction *d)
{
	struct tpacket_stats st = {0};
	socklen_t size = sizeof(st);

	getsockopt(d->in, SOL_PACKET, PACKET_STATISTICS, &st, &size);
	printf("%s %s received=%" PRIu64 " lost=%" PRIu64 " delivered=%" PRIu64 " queued=%" PRIu32 " overflow=%" PRIu64
	       " oversize=%" PRIu64 " refused=%" PRIu64 " missed=%u late_us_max=%" PRIu64 "\n",
		d->from, d->to, d->received, d->lost, d->delivered, d->used, d->overflow, d->oversize, d->refused,
		st.tp_drops, d->late_ns_max / 1000);
}

static int number(const char *text, uint64_t max, uint64_t *ret)
{
	char *end;
	unsigned long long value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || end == text || *end || text[0] == '-' || value > max) {
		fprintf(stderr, "link_emulator: %s is no number up to %" PRIu64 "\n", text, max);
		return -1;
	}
	*ret = value;
	return 0;
}

static int read_options(int argc, char **argv, struct settings *set)
{
	static const struct option OPTIONS[] = {{"delay-us", required_argument, NULL, 'd'},
		{"loss-ppm", required_argument, NULL, 'l'}, {"seed", required_argument, NULL, 's'},
		{"limit", required_argument, NULL, 'n'}, {NULL, 0, NULL, 0}};
	uint64_t delay_us = 0;
	int c, r = 0;

	while (!r && (c = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1) {
		switch (c) {
		case 'd':
			r = number(optarg, DELAY_US_MAX, &delay_us);
			break;
		case 'l':
			r = number(optarg, PPM, &set->loss_ppm);
			break;
		case 's':
			r = number(optarg, UINT64_MAX, &set->seed);
			break;
		case 'n':
			r = number(optarg, LIMIT_MAX, &set->limit);
			break;
		default:
			r = -1;
		}
	}
	set->delay_ns = delay_us * 1000;
	if (r || argc - optind != 2 || !set->limit) {
		fprintf(stderr,
			"usage: link_emulator [--delay-us N] [--loss-ppm N] [--seed N] [--limit N] IFACE_A IFACE_B\n");
		return -1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct settings set = {.seed = 1, .limit = LIMIT_DEFAULT};
	struct sched_param first = {.sched_priority = 1};
	_cleanup_(ps_closep) int a = -1;
	_cleanup_(ps_closep) int b = -1;
	_cleanup_(ps_closep) int signals = -1;
	_cleanup_(ps_freep) struct frame *rings = NULL;
	sigset_t stop;

	if (read_options(argc, argv, &set))
		return 2;
	sigemptyset(&stop);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGINT);
	sigprocmask(SIG_BLOCK, &stop, NULL);
	signals = signalfd(-1, &stop, SFD_CLOEXEC);
	/* One slot more than the limit, so that a frame can be looked at before it is lost. */
	rings = calloc(2 * (set.limit + 1), sizeof(*rings));
	if (signals < 0 || !rings)
		return fail("start", NULL), 1;
	a = packet_socket(argv[optind]);
	b = packet_socket(argv[optind + 1]);
	if (a < 0 || b < 0)
		return 1;
	/* The delay must be the link's and not the scheduler's; without the right to it, late_us_max tells. */
	(void)sched_setscheduler(0, SCHED_FIFO, &first);

	struct direction d[2] = {
		{.from = argv[optind], .to = argv[optind + 1], .in = a, .out = b, .random = set.seed, .ring = rings},
		{.from = argv[optind + 1],
			.to = argv[optind],
			.in = b,
			.out = a,
			.random = ~set.seed,
			.ring = rings + set.limit + 1}};

	printf("ready\n");
	fflush(stdout);
	if (carry(d, signals, &set))
		return 1;
	print_direction(&d[0]);
	print_direction(&d[1]);
	return 0;
}
