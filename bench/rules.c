#include "bench/rules.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/cleanup.h"

static uint64_t seed = 0x2545f4914f6cdd1dull;

static uint32_t draw(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)((seed >> 11) % below);
}

static struct ps_net net4(uint32_t addr, uint8_t len)
{
	struct ps_net n = {.addr = {.family = PS_FAMILY_IPV4, .word = {htonl(addr)}}, .len = len};

	ps_net_mask(&n);
	return n;
}

static struct ps_net net6(uint32_t low, uint8_t len)
{
	struct ps_net n = {
		.addr = {.family = PS_FAMILY_IPV6, .word = {htonl(0x20010db8), htonl(low), 0, htonl(low * 7)}},
		.len = len};

	ps_net_mask(&n);
	return n;
}

static uint32_t address(void)
{
	return 0x0a000000u | draw(1u << 24);
}

static void begin(struct ps_rule *r, int32_t id)
{
	ps_rule_defaults(r);
	r->id = id;
	r->enabled = true;
}

void ps_bench_tuples(struct ps_rule *rules, size_t n, unsigned tuples)
{
	static const uint8_t slens[] = {32, 28, 24, 30, 26, 22, 20, 18}, dlens[] = {32, 24, 16, 28};
	unsigned s = tuples > 16 ? 8 : 4, d = tuples > 16 ? 4 : 2;

	for (size_t i = 0; i < n; i++) {
		unsigned t = (unsigned)(i % tuples);

		begin(&rules[i], (int32_t)i);
		rules[i].protocol = IPPROTO_UDP;
		rules[i].src_ip = net4(address(), slens[t % s]);
		rules[i].dst_ip = net4(address(), dlens[t / s % d]);
		if (t / s / d)
			rules[i].dst_port = ps_ports_one((uint16_t)(1 + draw(65535)));
	}
}

void ps_bench_addresses(struct ps_rule *rules, size_t n, int32_t first_id)
{
	for (size_t i = 0; i < n; i++) {
		begin(&rules[i], first_id + (int32_t)i);
		rules[i].src_ip = net4(0xc0000000u + (uint32_t)i * 2654435761u % 0x10000000u, 32);
	}
}

static void more(struct ps_rule *r)
{
	static const uint8_t flags[] = {0x02, 0x12, 0x04, 0x01};
	uint16_t lo = (uint16_t)(1 + draw(60000));

	switch (draw(6)) {
	case 0:
		r->protocol = IPPROTO_TCP;
		r->dst_port = ps_ports_span(lo, (uint16_t)(lo + draw(1000)));
		break;
	case 1: {
		const struct ps_port_range list[] = {{lo, lo}, {(uint16_t)(lo + 7), (uint16_t)(lo + 9)},
			{(uint16_t)(lo + 100), (uint16_t)(lo + 100)}};

		r->protocol = IPPROTO_UDP;
		(void)ps_ports_set(list, PS_ARRAY_SIZE(list), &r->dst_port);
		break;
	}
	case 2:
		r->protocol = IPPROTO_TCP;
		r->tcp_flags_mask = r->tcp_flags = flags[draw(PS_ARRAY_SIZE(flags))];
		break;
	case 3:
		if (r->src_ip.addr.family != PS_FAMILY_IPV4)
			break;
		r->protocol = IPPROTO_ICMP;
		r->icmp_type = 3;
		r->inner_protocol = IPPROTO_UDP;
		r->inner_dst_ip = net4(address(), 24);
		break;
	case 4:
		r->protocol = IPPROTO_TCP;
		r->dst_port = ps_ports_one(lo);
		r->action = PS_RULE_ACTION_ALLOW;
		break;
	default:
		break;
	}
}

void ps_bench_mixed(struct ps_rule *rules, size_t n, int32_t first_id)
{
	static const uint8_t lens4[] = {32, 24, 28, 22, 20, 16}, lens6[] = {128, 64, 56, 48};

	for (size_t i = 0; i < n; i++) {
		bool v6 = !draw(4);

		begin(&rules[i], first_id + (int32_t)i);
		rules[i].priority = (int32_t)draw(10) * 100;
		rules[i].src_ip = v6 ? net6(draw(1u << 20), lens6[draw(PS_ARRAY_SIZE(lens6))])
				     : net4(0x01000000u + draw(0xdf000000u), lens4[draw(PS_ARRAY_SIZE(lens4))]);
		if (!draw(3))
			rules[i].dst_ip = v6 ? net6(draw(1u << 20), 64) : net4(address(), 24);
		more(&rules[i]);
	}
}

struct ps_rule_set *ps_bench_set(struct ps_rig *rig, struct ps_rule *rules, size_t n)
{
	struct ps_rule_set *set = NULL;
	struct ps_error err = {0};

	if (ps_rule_set_new(&set) < 0 || ps_rule_set_compile(set, rules, n, 0, &err) < 0 ||
		ps_rule_install_prepare(&rig->view, set, 0, &err) < 0) {
		(void)fprintf(stderr, "cannot compile: %s\n", err.message);
		exit(1);
	}
	for (size_t i = 0; i < n; i++)
		ps_rule_clear(&rules[i]);
	return set;
}

struct ps_rule_set *ps_bench_mixed_set(struct ps_rig *rig, size_t mixed, size_t addresses)
{
	_cleanup_free_ struct ps_rule *rules = calloc(mixed + addresses + 1, sizeof(*rules));

	if (!rules) {
		(void)fprintf(stderr, "no memory for %zu rules\n", mixed + addresses);
		exit(1);
	}
	ps_bench_mixed(rules, mixed, 0);
	ps_bench_addresses(rules + mixed, addresses, (int32_t)mixed);
	return ps_bench_set(rig, rules, mixed + addresses);
}

uint64_t ps_bench_now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double ps_bench_min(double *values, size_t n)
{
	qsort(values, n, sizeof(*values), compare);
	return values[0];
}

double ps_bench_median(double *values, size_t n)
{
	qsort(values, n, sizeof(*values), compare);
	return values[n / 2];
}

void ps_bench_result(const char *id, const char *figure, double ours, double reference, double goal, const char *note)
{
	double ratio = reference > 0 ? ours / reference : 0;

	printf("{\"id\": \"%s\", \"figure\": \"%s\", \"ours\": %.3f, \"reference\": %.3f, \"ratio\": %.4f, \"goal\": "
	       "%.3f, "
	       "\"met\": %s, \"note\": \"%s\"}\n",
		id, figure, ours, reference, ratio, goal, ratio <= goal ? "true" : "false", note);
	(void)fflush(stdout);
}
