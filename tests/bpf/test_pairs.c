/* SPDX-License-Identifier: MIT */
/*
 * Random rule sets and random packets, through the loaded program on both hooks, against ps_rule_matches() over the
 * list one by one: which rule decides, what becomes of the packet, and which rule in shadow mode would have been first.
 * Sets are of all sizes, now and then changed rule by rule instead of made anew; packets come from few addresses and
 * ports, so that most meet several rules, and connections are met again under another set.
 *
 * PS_PAIRS=N: at least so many pairs of a set and a packet. PS_PAIRS_SEED repeats a run.
 */
#include "test_rig.h"

#include <stdio.h>
#include <time.h>

#define PAIRS 200000
#define RULES_MAX 400
#define PACKETS 500 /* of a set */
#define ROUNDS 40   /* sets before the tables are emptied */

static uint64_t seed;

static uint32_t draw(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)((seed >> 11) % below);
}

#define PICK(list) ((list)[draw(PS_ARRAY_SIZE(list))])

static const char *const hosts4[] = {"10.0.0.1", "10.0.0.2", "10.0.0.129", "10.0.1.1", "10.1.0.1", "11.0.0.1",
	"10.0.0.3", "192.168.7.9", "192.168.7.10", "172.16.0.1", "255.255.255.254", "0.0.0.1"};
static const char *const hosts6[] = {"2001:db8::1", "2001:db8::2", "2001:db8::1:1", "2001:db8:0:1::1", "2001:db8:1::1",
	"2001:db9::1", "fe80::1", "fe80::2", "::1", "ff02::1"};
static const uint16_t ports[] = {1, 22, 53, 80, 443, 1000, 1023, 1024, 1025, 8000, 8050, 8100, 32767, 32768, 65535};
static const uint8_t types4[] = {0, 3, 4, 5, 8, 11, 12, 53}, types6[] = {1, 2, 3, 4, 128, 129, 133, 135, 137, 138};
static const uint8_t flags[] = {0, 0x01, 0x02, 0x04, 0x10, 0x11, 0x12, 0x14, 0x18, 0x29, 0xff};

/* --- Rules --------------------------------------------------------------------------------------- */

static struct ps_net random_net(uint8_t family)
{
	static const uint8_t lens4[] = {32, 32, 32, 24, 16, 8, 25, 23, 12, 1, 0, 31},
			     lens6[] = {128, 128, 64, 48, 32, 127, 112, 65, 63, 10, 0};
	struct ps_net n = {.addr.family = family};

	ps_rig_addr(n.addr.word, family == PS_FAMILY_IPV6 ? PICK(hosts6) : PICK(hosts4));
	n.len = family == PS_FAMILY_IPV6 ? PICK(lens6) : PICK(lens4);
	ps_net_mask(&n);
	return n;
}

static struct ps_net maybe_net(uint8_t family)
{
	return draw(3) ? (struct ps_net){0} : random_net(family);
}

static struct ps_ports maybe_ports(void)
{
	struct ps_port_range r[4];
	struct ps_ports p = {0};
	uint32_t n = 1 + draw(4);

	switch (draw(6)) {
	case 0:
		return ps_ports_one(PICK(ports));
	case 1:
		r[0].lo = PICK(ports);
		r[0].hi = (uint16_t)(r[0].lo + draw(PS_MIN(2000u, 65536u - r[0].lo)));
		return ps_ports_span(r[0].lo, r[0].hi);
	case 2:
		for (uint32_t i = 0; i < n; i++) {
			r[i].lo = PICK(ports);
			r[i].hi = (uint16_t)(draw(2) ? r[i].lo : r[i].lo + draw(PS_MIN(100u, 65536u - r[i].lo)));
		}
		assert_int_equal(ps_ports_set(r, n, &p), 0);
		return p;
	default:
		return p;
	}
}

/* What is only for ICMP. */
static void random_icmp(struct ps_rule *r, uint8_t family)
{
	r->protocol = family == PS_FAMILY_IPV6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	if (draw(2))
		r->icmp_type = family == PS_FAMILY_IPV6 ? PICK(types6) : PICK(types4);
	if (!draw(3))
		r->icmp_code = (int16_t)draw(3);
	if (draw(2))
		return;
	r->inner_src_ip = maybe_net(family);
	r->inner_dst_ip = maybe_net(family);
	if (!draw(2))
		r->inner_protocol = draw(2) ? IPPROTO_UDP : IPPROTO_TCP;
	if (!draw(3))
		r->inner_src_port = maybe_ports();
	if (!draw(3))
		r->inner_dst_port = maybe_ports();
}

static void random_rule(struct ps_rule *r, int32_t id)
{
	static const int16_t protocols[] = {PS_RULE_ANY, PS_RULE_ANY, IPPROTO_TCP, IPPROTO_TCP, IPPROTO_UDP, 47};
	uint8_t family = draw(2) ? PS_FAMILY_IPV4 : PS_FAMILY_IPV6;

	ps_rule_defaults(r);
	r->id = id;
	r->enabled = draw(20) != 0;
	r->priority = (int32_t)(draw(4) * 10);
	r->action = draw(3) ? PS_RULE_ACTION_DROP : PS_RULE_ACTION_ALLOW;
	r->mode = draw(8) ? PS_MODE_ENFORCE : PS_MODE_SHADOW;
	r->direction = (uint8_t)(1 + draw(3));
	r->src_ip = maybe_net(family);
	r->dst_ip = maybe_net(family);
	/* some have ended, some are still to end */
	if (!draw(10))
		r->expires_at = T0 + (draw(2) ? 1 : -1) * NS_PER_S;
	if (!draw(30))
		r->confirm_by = T0 + (draw(2) ? NS_PER_S : 0);
	if (!draw(4)) {
		random_icmp(r, family);
		return;
	}
	r->protocol = PICK(protocols);
	if (r->protocol != 47) {
		r->src_port = maybe_ports();
		r->dst_port = maybe_ports();
	}
	if (r->protocol == IPPROTO_TCP && !draw(3)) {
		r->tcp_flags_mask = PICK(flags);
		r->tcp_flags = PICK(flags) & r->tcp_flags_mask;
	}
}

/* --- Packets ------------------------------------------------------------------------------------- */

struct packet {
	struct ps_frame_spec spec, quoted;
	struct ps_rule_key key;
	struct ps_rule_inner inner;
	unsigned known;
};

static void random_ends(struct ps_frame_spec *s, bool v6)
{
	s->src = v6 ? PICK(hosts6) : PICK(hosts4);
	s->dst = v6 ? PICK(hosts6) : PICK(hosts4);
	s->sport = PICK(ports);
	s->dport = PICK(ports);
}

static bool is_error(uint8_t type, bool v6)
{
	return v6 ? type >= 1 && type <= 4 : type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

static void random_message(struct packet *p, bool v6)
{
	static const uint8_t inner[] = {IPPROTO_UDP, IPPROTO_TCP, 47};

	p->spec.proto = v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	p->spec.icmp_type = v6 ? PICK(types6) : PICK(types4);
	p->spec.icmp_code = (uint8_t)draw(3);
	p->known |= PS_KNOWN_PORTS;
	p->key.sport = htons(p->spec.icmp_type);
	p->key.dport = htons(p->spec.icmp_code);
	if (!is_error(p->spec.icmp_type, v6) || !draw(5))
		return;
	random_ends(&p->quoted, v6);
	p->quoted.proto = PICK(inner);
	p->spec.quoted = &p->quoted;
	p->known |= PS_KNOWN_QUOTED;
	p->inner.family = v6 ? PS_FAMILY_IPV6 : PS_FAMILY_IPV4;
	p->inner.proto = p->quoted.proto;
	ps_rig_addr(p->inner.saddr, p->quoted.src);
	ps_rig_addr(p->inner.daddr, p->quoted.dst);
	if (p->quoted.proto == 47)
		return;
	p->known |= PS_KNOWN_QUOTED_PORTS;
	p->inner.sport = htons(p->quoted.sport);
	p->inner.dport = htons(p->quoted.dport);
}

static void random_packet(struct packet *p)
{
	static const uint8_t protocols[] = {
		IPPROTO_TCP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_ICMP, 47};
	bool v6 = draw(2);
	uint8_t proto = PICK(protocols);

	memset(p, 0, sizeof(*p));
	random_ends(&p->spec, v6);
	p->key.family = v6 ? PS_FAMILY_IPV6 : PS_FAMILY_IPV4;
	ps_rig_addr(p->key.saddr, p->spec.src);
	ps_rig_addr(p->key.daddr, p->spec.dst);
	if (proto == IPPROTO_ICMP) {
		random_message(p, v6);
	} else {
		p->spec.proto = proto;
		if (proto != 47 && !v6 && !draw(20)) {
			p->spec.frag_offset = 5; /* not the first: no ports, no flags */
			p->spec.payload = 8;
		} else if (proto != 47) {
			p->known |= PS_KNOWN_PORTS;
			p->key.sport = htons(p->spec.sport);
			p->key.dport = htons(p->spec.dport);
		}
		if (proto == IPPROTO_TCP && (p->known & PS_KNOWN_PORTS)) {
			p->spec.flags = PICK(flags);
			p->key.tcp_flags = p->spec.flags;
			p->known |= PS_KNOWN_TCP_FLAGS;
		}
	}
	p->key.proto = p->spec.proto;
}

/* --- The two readings ----------------------------------------------------------------------------- */

struct set {
	struct ps_rule rule[RULES_MAX];
	const struct ps_rule *order[RULES_MAX]; /* of decision */
	size_t n;
	uint64_t want[RULES_MAX]; /* packets, by id */
};

static int compare(const void *a, const void *b)
{
	return ps_rule_compare(*(const struct ps_rule *const *)a, *(const struct ps_rule *const *)b);
}

static bool is_over(const struct ps_rule *r)
{
	return (r->expires_at && r->expires_at <= T0) || (r->confirm_by && r->confirm_by <= T0);
}

/* True if the packet passes. Counts who decides, and who would have. */
static bool judge(struct set *s, const struct packet *p)
{
	bool shadow = false;

	for (size_t i = 0; i < s->n; i++) {
		const struct ps_rule *r = s->order[i];

		if (!r->enabled || is_over(r) || !ps_rule_matches_known(r, &p->key, &p->inner, p->known))
			continue;
		if (r->mode == PS_MODE_SHADOW) {
			if (!shadow)
				s->want[r->id]++;
			shadow = true;
			continue;
		}
		s->want[r->id]++;
		return r->action == PS_RULE_ACTION_ALLOW;
	}
	return true;
}

static void check_counters(struct set *s)
{
	for (size_t i = 0; i < s->n; i++) {
		uint32_t id = (uint32_t)s->rule[i].id;

		if (ps_rig_hits(rig, id).packets != s->want[id])
			fail_msg("seed %llx: rule %u has %llu packets instead of %llu", (unsigned long long)seed, id,
				(unsigned long long)ps_rig_hits(rig, id).packets, (unsigned long long)s->want[id]);
	}
}

static void random_set(struct set *s)
{
	uint32_t most = draw(4) ? 20 : draw(4) ? 100 : RULES_MAX;

	for (size_t i = 0; i < s->n; i++)
		ps_rule_clear(&s->rule[i]);
	s->n = draw(most + 1);
	for (size_t i = 0; i < s->n; i++)
		random_rule(&s->rule[i], (int32_t)i);
	ps_rig_install(rig, s->rule, s->n);
}

/* One rule other than it was. */
static void change_one(struct set *s)
{
	size_t i = draw((uint32_t)s->n);
	_cleanup_(ps_rule_clear) struct ps_rule before = s->rule[i];
	struct ps_error err = {0};

	random_rule(&s->rule[i], (int32_t)i);
	if (ps_rule_set_change(rig->rules, s->rule, s->n, &before, &s->rule[i], 0, &err) < 0)
		fail_msg("%s", err.message);
	/* there and back and there again is the same */
	if (!draw(4)) {
		ps_rule_set_undo(rig->rules);
		assert_int_equal(ps_rule_set_change(rig->rules, s->rule, s->n, &before, &s->rule[i], 0, &err), 0);
	}
	assert_int_equal(ps_rule_install_prepare(&rig->view, rig->rules, T0, NULL), 0);
	(void)ps_rule_install(&rig->view, rig->rules, 0);
}

static void use_set(struct set *s)
{
	if (s->n && draw(3))
		change_one(s);
	else
		random_set(s);
	for (size_t i = 0; i < s->n; i++)
		s->order[i] = &s->rule[i];
	qsort(s->order, s->n, sizeof(s->order[0]), compare);
	memset(s->want, 0, sizeof(s->want));
	for (uint32_t id = 0; id < RULES_MAX; id++)
		ps_rule_install_clear_hits(&rig->view, id);
}

static void test_pairs(void **state)
{
	static struct set s;
	uint64_t pairs = getenv("PS_PAIRS") ? strtoull(getenv("PS_PAIRS"), NULL, 0) : PAIRS, done = 0, dropped = 0,
		 sets = 0;
	time_t began = time(NULL);

	(void)state;
	seed = getenv("PS_PAIRS_SEED") ? strtoull(getenv("PS_PAIRS_SEED"), NULL, 0) : (uint64_t)began * 2654435761u + 1;
	print_message("PS_PAIRS_SEED=%#llx\n", (unsigned long long)seed);
	for (; done < pairs; sets++) {
		if (sets % ROUNDS == 0) {
			ps_rig_reset(rig);
			random_set(&s);
		}
		use_set(&s);
		for (int i = 0; i < PACKETS; i++, done++) {
			struct packet p;
			bool pass, want;

			random_packet(&p);
			p.key.direction = draw(2) ? PS_DIR_INGRESS : PS_DIR_EGRESS;
			want = judge(&s, &p);
			pass = p.key.direction == PS_DIR_INGRESS ? ps_rig_in(rig, &p.spec) : ps_rig_out(rig, &p.spec);
			dropped += !pass;
			if (pass != want)
				fail_msg("set %llu, packet %d: %s instead of %s", (unsigned long long)sets, i,
					pass ? "passed" : "dropped", want ? "passed" : "dropped");
		}
		check_counters(&s);
	}
	print_message("%llu pairs, %llu sets, %llu dropped, 0 differences, %lld s\n", (unsigned long long)done,
		(unsigned long long)sets, (unsigned long long)dropped, (long long)(time(NULL) - began));
	assert_in_range(dropped, done / 20, done * 19 / 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_pairs),
	};

	return RUN(tests);
}
