/* The reference matcher: what a rule stops and what not, and that what compiles to the kernel says the same. */
#include "tests/unit/rule_text.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <time.h>

#include "bpf/rule_match.h"
#include "common/model/rule_compile.h"

#if defined(__SANITIZE_ADDRESS__)
#define ROUNDS 4000 /* each allocation and each access costs many times as much */
#else
#define ROUNDS 20000
#endif

static struct ps_rule_key packet(uint8_t proto, const char *src, const char *dst, uint16_t sport, uint16_t dport)
{
	struct ps_rule_key k = {
		.proto = proto, .sport = htons(sport), .dport = htons(dport), .direction = PS_DIR_INGRESS};
	struct ps_addr a;

	assert_int_equal(ps_addr_parse(src, strlen(src), &a), 0);
	memcpy(k.saddr, a.word, sizeof(k.saddr));
	assert_int_equal(ps_addr_parse(dst, strlen(dst), &a), 0);
	memcpy(k.daddr, a.word, sizeof(k.daddr));
	k.family = a.family;
	return k;
}

static bool hits(const char *json, const struct ps_rule_key *k, const struct ps_rule_inner *inner)
{
	struct ps_rule r = rule_of(json);

	return ps_rule_matches(&r, k, inner);
}

/* What the issue is about in words: each rule stops what it names and nothing else. */
static void names_exactly(void **state)
{
	struct ps_rule_key telnet = packet(6, "10.0.0.1", "10.0.0.2", 4000, 23);
	struct ps_rule_key dns = packet(17, "10.0.0.1", "10.0.0.2", 4000, 53);
	struct ps_rule_key ping = packet(1, "10.0.0.1", "10.0.0.2", 8, 0);
	struct ps_rule_key port_unreachable = packet(1, "10.0.0.1", "10.0.0.2", 3, 3);
	struct ps_rule_key solicit = packet(58, "fe80::1", "ff02::1", 135, 0);
	struct ps_rule_key ping6 = packet(58, "2001:db8::1", "2001:db8::2", 128, 0);
	struct ps_rule_key icmp_in_v6 = packet(1, "2001:db8::1", "2001:db8::2", 8, 0);
	struct ps_rule_inner quoted_dns = {.family = 4, .proto = 17, .sport = htons(4000), .dport = htons(53)};
	struct ps_rule_inner quoted_ping = {.family = 4, .proto = 1};
	struct ps_rule_inner nothing = {0};

	(void)state;
	assert_true(hits("{}", &telnet, NULL));
	assert_true(hits("{\"rule_type\":\"tcp\",\"dst_port\":23}", &telnet, &nothing));
	assert_false(hits("{\"rule_type\":\"tcp\",\"src_port\":23}", &telnet, &nothing));
	assert_false(hits("{\"rule_type\":\"udp\",\"dst_port\":23}", &telnet, &nothing));
	assert_true(hits("{\"dst_port\":23}", &telnet, &nothing));
	assert_true(hits("{\"dst_port\":53}", &dns, &nothing));
	/* type 8 is no port 8 and the other way round */
	assert_false(hits("{\"src_port\":8}", &ping, &nothing));
	assert_false(hits("{\"rule_type\":\"icmp\",\"icmp_type\":23}", &telnet, &nothing));
	assert_true(hits("{\"rule_type\":\"icmp\",\"icmp_type\":8,\"icmp_code\":0}", &ping, &nothing));
	assert_false(hits("{\"rule_type\":\"icmp\",\"icmp_type\":8,\"icmp_code\":1}", &ping, &nothing));
	assert_true(hits("{\"rule_type\":\"icmp\",\"icmp_code\":0}", &ping, &nothing));
	assert_false(hits("{\"rule_type\":\"icmp\"}", &ping6, &nothing));
	assert_false(hits("{\"rule_type\":\"icmp\"}", &icmp_in_v6, &nothing));
	assert_true(hits("{\"protocol\":\"icmpv6\"}", &ping6, &nothing));
	/* neighbour discovery is only for who names it */
	assert_false(hits("{}", &solicit, &nothing));
	assert_false(hits("{\"protocol\":\"icmpv6\"}", &solicit, &nothing));
	assert_false(hits("{\"protocol\":\"icmpv6\",\"icmp_code\":0}", &solicit, &nothing));
	assert_false(hits("{\"src_ip\":\"fe80::1\"}", &solicit, &nothing));
	assert_true(hits("{\"protocol\":\"icmpv6\",\"icmp_type\":135}", &solicit, &nothing));
	/* the quoted packet */
	assert_true(hits(
		"{\"rule_type\":\"icmp\",\"icmp_type\":3,\"inner_protocol\":\"udp\"}", &port_unreachable, &quoted_dns));
	assert_true(hits("{\"rule_type\":\"icmp\",\"inner_dst_port\":53}", &port_unreachable, &quoted_dns));
	assert_false(hits("{\"rule_type\":\"icmp\",\"inner_src_port\":53}", &port_unreachable, &quoted_dns));
	assert_false(hits("{\"rule_type\":\"icmp\",\"inner_protocol\":\"udp\"}", &port_unreachable, &quoted_ping));
	assert_false(hits("{\"rule_type\":\"icmp\",\"inner_protocol\":\"udp\"}", &port_unreachable, &nothing));
	assert_false(hits("{\"rule_type\":\"icmp\",\"inner_protocol\":\"udp\"}", &port_unreachable, NULL));
	assert_true(hits("{\"rule_type\":\"icmp\",\"icmp_type\":3}", &port_unreachable, &nothing));
	/* flags */
	telnet.tcp_flags = 0x12;
	assert_true(hits("{\"rule_type\":\"tcp\",\"tcp_flags\":\"SYN\"}", &telnet, NULL));
	assert_false(hits("{\"rule_type\":\"tcp\",\"tcp_flags\":2,\"tcp_flags_mask\":18}", &telnet, NULL));
	assert_true(hits("{\"rule_type\":\"tcp\",\"tcp_flags_mask\":\"FIN|RST\"}", &telnet, NULL));
	/* direction */
	assert_false(hits("{\"direction\":\"egress\"}", &telnet, NULL));
	telnet.direction = PS_DIR_EGRESS;
	assert_true(hits("{\"direction\":\"egress\"}", &telnet, NULL));
	assert_true(hits("{\"direction\":\"both\"}", &telnet, NULL));
	assert_false(hits("{}", &telnet, NULL));
}

static bool is_discovery(const struct ps_rule_key *k)
{
	return k->proto == 58 && k->family == 6 && ntohs(k->sport) >= 133 && ntohs(k->sport) <= 137;
}

static uint64_t half_address(const __u32 *w)
{
	return (uint64_t)ntohl(w[0]) << 32 | ntohl(w[1]);
}

/* A whole packet as the kernel part compares it (bpf/rule_match.h). */
static struct ps_rule_query query_of(const struct ps_rule_key *k)
{
	struct ps_rule_query q = {
		.saddr = {half_address(k->saddr), half_address(k->saddr + 2)},
		.daddr = {half_address(k->daddr), half_address(k->daddr + 2)},
		.sport = ntohs(k->sport),
		.dport = ntohs(k->dport),
		.proto = k->proto,
		.family = k->family,
		.tcp_flags = k->tcp_flags,
		.direction = k->direction,
	};

	if (k->proto == 6)
		q.has |= PS_HAS_FLAGS;
	if (k->proto == 6 || k->proto == 17)
		q.has |= PS_HAS_PORTS;
	if (k->proto == (k->family == 6 ? 58 : 1))
		q.has |= PS_HAS_ICMP;
	if (is_discovery(k))
		q.has |= PS_HAS_ND;
	return q;
}

static bool unit_hits(
	const struct ps_rule_unit_pair *pair, const struct ps_rule_key *k, const struct ps_rule_inner *inner)
{
	struct ps_rule_query q = query_of(k),
			     quoted = {
				     .saddr = {half_address(inner->saddr), half_address(inner->saddr + 2)},
				     .daddr = {half_address(inner->daddr), half_address(inner->daddr + 2)},
				     .sport = ntohs(inner->sport),
				     .dport = ntohs(inner->dport),
				     .proto = inner->proto,
				     .family = inner->family,
				     .has = inner->proto == 6 || inner->proto == 17 ? PS_HAS_PORTS : 0,
			     };

	if (!ps_unit_fits(&pair->unit, &q))
		return false;
	if (!(pair->unit.flags & PS_UNIT_QUOTED))
		return true;
	return inner->family && ps_unit_fits_packet(&pair->quoted, &quoted);
}

/* Few values, so that rules and packets meet. */
static void random_ip(uint8_t family, __u32 word[4])
{
	memset(word, 0, 16);
	word[0] = htonl(family == 4 ? 0x0a000000u + (uint32_t)random() % 2 : 0x20010db8);
	if (family == 6)
		word[3] = htonl((uint32_t)random() % 2);
}

static uint16_t random_port(void)
{
	static const uint16_t ports[] = {0, 3, 8, 11, 53, 135, 0x0800};

	return ports[(size_t)random() % PS_ARRAY_SIZE(ports)];
}

static void random_packet(struct ps_rule_key *k, struct ps_rule_inner *inner)
{
	static const uint8_t types[] = {0, 3, 4, 5, 8, 11, 12, 53}, types6[] = {1, 2, 3, 4, 128, 129, 133, 135, 137};
	static const uint8_t protos[] = {1, 6, 17, 47, 58};
	bool error = false;

	memset(k, 0, sizeof(*k));
	memset(inner, 0, sizeof(*inner));
	k->family = random() % 2 ? 4 : 6;
	k->proto = random() % 3 ? protos[random() % 5] : k->family == 4 ? 1 : 58;
	k->direction = random() % 2 ? PS_DIR_INGRESS : PS_DIR_EGRESS;
	random_ip(k->family, k->saddr);
	random_ip(k->family, k->daddr);
	if (k->proto == 6 || k->proto == 17) {
		k->sport = htons(random_port());
		k->dport = htons(random_port());
		if (k->proto == 6)
			k->tcp_flags = (uint8_t)(random() % 32);
	} else if (k->proto == 1 && k->family == 4) {
		k->sport = htons(types[random() % 8]);
		k->dport = htons((uint16_t)(random() % 4));
		error = ntohs(k->sport) != 0 && ntohs(k->sport) != 8 && ntohs(k->sport) != 53;
	} else if (k->proto == 58 && k->family == 6) {
		k->sport = htons(types6[random() % 9]);
		k->dport = htons((uint16_t)(random() % 4));
		error = ntohs(k->sport) <= 4;
	}
	if (!error || random() % 4 == 0)
		return;
	inner->family = k->family;
	inner->proto = protos[random() % 5];
	random_ip(k->family, inner->saddr);
	random_ip(k->family, inner->daddr);
	if (inner->proto == 6 || inner->proto == 17) {
		inner->sport = htons(random_port());
		inner->dport = htons(random_port());
	}
}

/* One field of a rule by chance, as JSON. */
static void random_json_field(struct ps_buf *out, uint8_t family)
{
	static const char *const names[] = {"src_ip", "dst_ip", "inner_src_ip", "inner_dst_ip"};
	static const char *const ports[] = {"src_port", "dst_port", "inner_src_port", "inner_dst_port"};
	static const char *const port_values[] = {
		"0", "3", "53", "\"3-11\"", "\"8,53\"", "\"1-65535\"", "\"3,8,11,135\""};
	static const char *const types[] = {"basic", "tcp", "udp", "icmp"};
	static const char *const protos[] = {"any", "tcp", "udp", "icmp", "icmpv6", "47"};
	static const char *const directions[] = {"ingress", "egress", "both"};
	static const char *const nets4[] = {
		"10.0.0.0", "10.0.0.1", "10.0.0.0/31", "10.0.0.0/8", "0.0.0.0/0", "11.0.0.0/8"};
	static const char *const nets6[] = {
		"2001:db8::", "2001:db8::1", "2001:db8::/127", "2001:db8::/32", "::/0", "2002::/16"};
	static const uint8_t icmp_types[] = {3, 8, 11, 128, 135, 255, 1, 2};
	unsigned n = (unsigned)random() % 2;

	switch (random() % 8) {
	case 0:
		ps_buf_addf(out, "\"%s\":\"%s\"", names[random() % 4], (family == 4 ? nets4 : nets6)[random() % 6]);
		break;
	case 1:
		ps_buf_addf(out, "\"%s\":%s", ports[random() % 4], port_values[random() % 7]);
		break;
	case 2:
		ps_buf_addf(out, "\"rule_type\":\"%s\"", types[random() % 4]);
		break;
	case 3:
		ps_buf_addf(out, "\"protocol\":\"%s\"", protos[random() % 6]);
		break;
	case 4:
		ps_buf_addf(out, "\"tcp_flags\":%u,\"tcp_flags_mask\":%u", n * 2, 2 + (unsigned)(random() % 2) * 16);
		break;
	case 5:
		ps_buf_addf(out, "\"icmp_type\":%u", icmp_types[random() % 8]);
		break;
	case 6:
		ps_buf_addf(out, "\"icmp_code\":%u", (unsigned)random() % 4);
		break;
	default:
		ps_buf_addf(out, "\"inner_protocol\":\"%s\"", protos[random() % 6]);
		break;
	}
	if (random() % 4 == 0)
		ps_buf_addf(out, ",\"direction\":\"%s\"", directions[random() % 3]);
}

/* Fields merged one after another, as PATCH would; what is refused changes nothing. */
static void random_fields(struct ps_rule *ret_rule, int n)
{
	static const char *const beginnings[] = {"{}", "{\"protocol\":\"icmp\"}", "{\"protocol\":\"icmpv6\"}"};
	uint8_t family = random() % 2 ? 4 : 6;
	struct ps_rule r = rule_of(random() % 2 ? beginnings[0] : beginnings[family == 4 ? 1 : 2]);

	for (int i = 0; i < n; i++) {
		_cleanup_(ps_buf_free) struct ps_buf json = PS_BUF_INIT;
		_value_ body = NULL;
		struct ps_rule next;

		ps_buf_addc(&json, '{');
		random_json_field(&json, family);
		ps_buf_addc(&json, '}');
		body = parse(ps_buf_str(&json));
		if (!ps_rule_merge(&r, body, NOW, &next, NULL, NULL))
			r = keep(next);
	}
	*ret_rule = r;
}

static void random_rule(struct ps_rule *ret_rule)
{
	random_fields(ret_rule, (int)(random() % 5));
}

static const char *text_of(const struct ps_rule *rule, struct ps_buf *out)
{
	_value_ v = ps_rule_to_stored(rule);

	ps_json_write(out, v);
	return ps_buf_str(out);
}

/* Random rules and packets: the reference and the compiled units always agree, and both answers are common. */
static void compiled_units_match_what_the_rule_matches(void **state)
{
	size_t hit = 0, missed = 0, more = 0, quoted = 0;

	srandom(42);
	for (int i = 0; i < ROUNDS; i++) {
		struct ps_rule_unit_pair pair[64];
		struct ps_rule_units units;
		struct ps_rule rule;

		random_rule(&rule);
		ps_rule_units_init(&rule, &units);
		assert_in_range(units.n, 1, PS_ARRAY_SIZE(pair));
		more += units.n > 1;
		for (uint32_t k = 0; k < units.n; k++)
			ps_rule_units_get(&units, k, &pair[k]);
		for (int p = 0; p < 60; p++) {
			struct ps_rule_inner inner;
			struct ps_rule_key key;
			bool want, got = false;

			random_packet(&key, &inner);
			want = ps_rule_matches(&rule, &key, &inner);
			for (uint32_t k = 0; k < units.n; k++)
				got |= unit_hits(&pair[k], &key, &inner);
			if (got != want) {
				_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;

				fail_msg("%s: proto %u family %u ports %u %u: %d instead of %d", text_of(&rule, &out),
					key.proto, key.family, ntohs(key.sport), ntohs(key.dport), got, want);
			}
			want ? hit++ : missed++;
			quoted += want && ps_rule_tests_quoted(&rule);
		}
		(void)forget(state);
	}
	print_message("%zu matches (%zu by the quoted packet), %zu misses, %zu rules of several units\n", hit, quoted,
		missed, more);
	assert_true(hit > 5 * ROUNDS && missed > 5 * ROUNDS);
	assert_true(more > ROUNDS / 40 && quoted > ROUNDS / 20);
}

/* What one rule is said to cover is matched by it, whatever the packet. */
static void covering_means_matching(void **state)
{
	size_t covered = 0, packets = 0, wider = 0;

	srandom(7);
	for (int i = 0; i < 3 * ROUNDS; i++) {
		struct ps_rule wide, narrow;

		random_fields(&wide, (int)(random() % 3));
		random_fields(&narrow, 1 + (int)(random() % 4));
		assert_true(ps_rule_covers(&wide, &wide));
		if (!ps_rule_covers(&wide, &narrow)) {
			(void)forget(state);
			continue;
		}
		covered++;
		wider += !ps_rule_same_match(&wide, &narrow);
		for (int p = 0; p < 200; p++) {
			struct ps_rule_inner inner;
			struct ps_rule_key key;

			random_packet(&key, &inner);
			if (!ps_rule_matches(&narrow, &key, &inner))
				continue;
			packets++;
			if (!ps_rule_matches(&wide, &key, &inner)) {
				_cleanup_(ps_buf_free) struct ps_buf a = PS_BUF_INIT, b = PS_BUF_INIT;

				fail_msg("%s does not cover %s", text_of(&wide, &a), text_of(&narrow, &b));
			}
		}
		(void)forget(state);
	}
	print_message("%zu pairs of %d (%zu of them strict), %zu packets\n", covered, 3 * ROUNDS, wider, packets);
	assert_true(wider > ROUNDS / 4 && packets > 5 * ROUNDS);
}

static void covers_what_one_would_say(void **state)
{
	static const struct {
		const char *wide, *narrow;
		bool covers;
	} rows[] = {
		{"{}", "{\"rule_type\":\"tcp\",\"dst_port\":23}", true},
		{"{\"rule_type\":\"tcp\",\"dst_port\":23}", "{}", false},
		{"{\"src_ip\":\"10.0.0.0/8\"}", "{\"src_ip\":\"10.1.0.0/16\",\"rule_type\":\"udp\"}", true},
		{"{\"src_ip\":\"10.1.0.0/16\"}", "{\"src_ip\":\"10.0.0.0/8\"}", false},
		{"{\"src_ip\":\"0.0.0.0/0\"}", "{\"dst_ip\":\"10.0.0.1\"}", true}, /* IPv4 either way */
		{"{\"src_ip\":\"0.0.0.0/0\"}", "{\"rule_type\":\"icmp\"}", true},
		{"{\"src_ip\":\"0.0.0.0/0\"}", "{\"rule_type\":\"tcp\"}", false},
		{"{\"src_ip\":\"::/0\"}", "{\"dst_ip\":\"10.0.0.1\"}", false},
		{"{\"dst_port\":\"1-1024\"}", "{\"rule_type\":\"tcp\",\"dst_port\":\"22,80\"}", true},
		{"{\"dst_port\":\"22,80\"}", "{\"dst_port\":\"22-80\"}", false},
		{"{\"dst_port\":\"1-65535\"}", "{\"rule_type\":\"tcp\"}", false}, /* port 0 */
		{"{\"rule_type\":\"tcp\",\"dst_port\":22}", "{\"dst_port\":22}", false},
		{"{\"rule_type\":\"tcp\",\"tcp_flags\":2}",
			"{\"rule_type\":\"tcp\",\"tcp_flags\":2,\"tcp_flags_mask\":18}", true},
		{"{\"rule_type\":\"tcp\",\"tcp_flags\":2,\"tcp_flags_mask\":18}",
			"{\"rule_type\":\"tcp\",\"tcp_flags\":2}", false},
		{"{\"direction\":\"both\"}", "{\"direction\":\"egress\"}", true},
		{"{}", "{\"direction\":\"both\"}", false},
		{"{\"protocol\":\"icmpv6\"}", "{\"protocol\":\"icmpv6\",\"icmp_type\":135}", false}, /* not named */
		{"{\"protocol\":\"icmpv6\"}", "{\"protocol\":\"icmpv6\",\"icmp_type\":128}", true},
		{"{}", "{\"protocol\":\"icmpv6\",\"icmp_type\":135}", false},
		{"{\"rule_type\":\"icmp\",\"inner_protocol\":\"udp\"}", "{\"rule_type\":\"icmp\",\"icmp_type\":3}",
			false},
		{"{\"rule_type\":\"icmp\",\"icmp_type\":3}",
			"{\"rule_type\":\"icmp\",\"icmp_type\":3,\"inner_protocol\":\"udp\",\"inner_dst_port\":53}",
			true},
		{"{\"rule_type\":\"icmp\",\"inner_dst_port\":\"50-60\"}",
			"{\"rule_type\":\"icmp\",\"inner_dst_port\":53}", true},
		{"{\"rule_type\":\"icmp\",\"inner_dst_port\":53}", "{\"rule_type\":\"icmp\",\"inner_src_port\":53}",
			false},
	};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		struct ps_rule wide = rule_of(rows[i].wide), narrow = rule_of(rows[i].narrow);

		if (ps_rule_covers(&wide, &narrow) != rows[i].covers)
			fail_msg("%s, %s: not %d", rows[i].wide, rows[i].narrow, rows[i].covers);
	}
}

/* A zero that was not read is no zero. */
static void unknown_is_no_value(void **state)
{
	struct ps_rule_key fragment = packet(1, "10.0.0.1", "10.0.0.2", 0, 0),
			   cut = packet(6, "10.0.0.1", "10.0.0.2", 0, 0);
	struct ps_rule reply = rule_of("{\"rule_type\":\"icmp\",\"icmp_type\":0}"),
		       code = rule_of("{\"rule_type\":\"icmp\",\"icmp_code\":0}");
	struct ps_rule none = rule_of("{\"rule_type\":\"tcp\",\"tcp_flags\":0,\"tcp_flags_mask\":63}");
	struct ps_rule icmp = rule_of("{\"rule_type\":\"icmp\"}");
	struct ps_rule quoted = rule_of("{\"rule_type\":\"icmp\",\"inner_protocol\":\"udp\"}");
	struct ps_rule_key error = packet(1, "10.0.0.1", "10.0.0.2", 3, 3);
	struct ps_rule_inner inner = {.family = 4, .proto = 17};

	(void)state;
	assert_true(ps_rule_matches(&reply, &fragment, NULL));
	assert_false(ps_rule_matches_known(&reply, &fragment, NULL, 0));
	assert_false(ps_rule_matches_known(&code, &fragment, NULL, 0));
	assert_true(ps_rule_matches_known(&icmp, &fragment, NULL, 0));
	assert_true(ps_rule_matches_known(&none, &cut, NULL, PS_KNOWN_TCP_FLAGS));
	assert_false(ps_rule_matches_known(&none, &cut, NULL, PS_KNOWN_PORTS));
	assert_true(ps_rule_matches_known(&quoted, &error, &inner, PS_KNOWN_PORTS | PS_KNOWN_QUOTED));
	assert_false(ps_rule_matches_known(&quoted, &error, &inner, PS_KNOWN_PORTS));
}

static void networks_and_ranges(void **state)
{
	struct ps_rule_key web = packet(6, "10.1.2.3", "192.0.2.9", 4000, 8050),
			   v6 = packet(17, "2001:db8:1::5", "2001:db8::1", 53, 9);
	struct ps_rule_key ping = packet(1, "10.0.0.1", "10.0.0.2", 8, 0),
			   gre = packet(47, "10.0.0.1", "10.0.0.2", 0, 0);
	struct ps_rule_key error = packet(1, "10.0.0.1", "10.0.0.2", 11, 0);
	struct ps_rule_inner inner = {
		.family = 4, .proto = 17, .saddr = {htonl(0xc0000201)}, .sport = htons(4000), .dport = htons(33434)};

	(void)state;
	assert_true(hits("{\"src_ip\":\"10.0.0.0/8\",\"dst_port\":\"8000-8100\"}", &web, NULL));
	assert_false(hits("{\"src_ip\":\"10.0.0.0/8\",\"dst_port\":\"8000-8049\"}", &web, NULL));
	assert_false(hits("{\"src_ip\":\"10.2.0.0/16\"}", &web, NULL));
	assert_true(hits("{\"src_ip\":\"10.1.2.2/31\"}", &web, NULL));
	assert_true(hits("{\"dst_port\":\"22,80,8050\"}", &web, NULL));
	assert_true(hits("{\"dst_port\":\"8050-8050\",\"src_port\":\"1-65535\"}", &web, NULL));
	assert_true(hits("{\"src_ip\":\"2001:db8::/32\",\"src_port\":\"50-60\"}", &v6, NULL));
	assert_true(hits("{\"src_ip\":\"2001:db8:1::/48\"}", &v6, NULL));
	assert_false(hits("{\"src_ip\":\"2001:db8:2::/48\"}", &v6, NULL));
	assert_true(hits("{\"src_ip\":\"2000::/3\"}", &v6, NULL));
	assert_true(hits("{\"src_ip\":\"::/0\"}", &v6, NULL));
	assert_false(hits("{\"src_ip\":\"0.0.0.0/0\"}", &v6, NULL));
	/* a test of ports says that there are some */
	assert_false(hits("{\"dst_port\":\"1-65535\"}", &ping, NULL));
	assert_false(hits("{\"dst_port\":\"1-65535\"}", &gre, NULL));
	assert_true(
		hits("{\"rule_type\":\"icmp\",\"icmp_type\":11,\"inner_dst_port\":\"33434-33523\"}", &error, &inner));
	assert_true(hits("{\"rule_type\":\"icmp\",\"inner_src_ip\":\"192.0.2.0/24\",\"inner_src_port\":\"1024-65535\"}",
		&error, &inner));
	assert_false(hits("{\"rule_type\":\"icmp\",\"inner_src_ip\":\"192.0.3.0/24\"}", &error, &inner));
}

/* What a preview asks: one rule, a hundred thousand connections, both directions. */
static void a_preview_is_quick(void **state)
{
	enum {
		N = 100000
	};
	struct ps_rule rule = rule_of(
		"{\"rule_type\":\"tcp\",\"src_ip\":\"2001:db8::/32\",\"dst_port\":\"1,3,5,7,9,11-20,22,24,26,28\"}");
	struct ps_rule_key key = packet(6, "2001:db8::1", "2001:db8::2", 4000, 28);
	struct timespec t0, t1;
	unsigned found = 0;
	double ms;

	(void)state;
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t0);
	for (unsigned i = 0; i < 2 * N; i++) {
		key.dport = htons((uint16_t)(i % 32));
		found += ps_rule_matches(&rule, &key, NULL);
	}
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t1);
	ms = (double)(t1.tv_sec - t0.tv_sec) * 1e3 + (double)(t1.tv_nsec - t0.tv_nsec) / 1e6;
	print_message("%d packets, %u matched, in %.1f ms\n", 2 * N, found, ms);
	assert_int_equal(found, 2 * N / 32 * 19);
#if !defined(__SANITIZE_ADDRESS__)
	assert_true(ms < 50);
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(names_exactly),
		TEST(compiled_units_match_what_the_rule_matches),
		TEST(networks_and_ranges),
		TEST(unknown_is_no_value),
		TEST(covers_what_one_would_say),
		TEST(covering_means_matching),
		TEST(a_preview_is_quick),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
