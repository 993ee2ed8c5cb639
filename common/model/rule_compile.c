/* See rule_compile.h. */
#include "common/model/rule_compile.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "common/base/cleanup.h"

static void set_addr(const struct ps_net *n, __u32 word[4], __u32 mask[4], __u8 *family, __u8 *family_mask)
{
	size_t bytes = n->addr.family == PS_FAMILY_IPV4 ? sizeof(n->addr.word[0]) : sizeof(n->addr.word);

	if (!n->addr.family)
		return;
	memcpy(word, n->addr.word, bytes);
	memset(mask, 0xff, bytes);
	*family = n->addr.family;
	*family_mask = 0xff;
}

static void set_u16(uint16_t value, __u16 *to, __u16 *mask)
{
	*to = htons(value);
	*mask = 0xffff;
}

static void set_port(const struct ps_ports *p, __u16 *to, __u16 *mask)
{
	if (p->n)
		set_u16(ps_ports_ranges(p)->lo, to, mask);
}

static void compile_quoted(const struct ps_rule *rule, struct ps_rule_entry *e)
{
	struct ps_rule_inner *key = &e->inner, *mask = &e->tuple.inner_mask;

	set_addr(&rule->inner_src_ip, key->saddr, mask->saddr, &key->family, &mask->family);
	set_addr(&rule->inner_dst_ip, key->daddr, mask->daddr, &key->family, &mask->family);
	if (rule->inner_protocol != PS_RULE_ANY) {
		key->proto = (uint8_t)rule->inner_protocol;
		mask->proto = 0xff;
	}
	/* quoted ports are only ever filled for TCP and UDP, so they need no test of the protocol */
	set_port(&rule->inner_src_port, &key->sport, &mask->sport);
	set_port(&rule->inner_dst_port, &key->dport, &mask->dport);
}

static uint8_t protocol_family(int16_t protocol)
{
	if (protocol == IPPROTO_ICMP)
		return PS_FAMILY_IPV4;
	return protocol == IPPROTO_ICMPV6 ? PS_FAMILY_IPV6 : PS_FAMILY_NONE;
}

static void compile_for(const struct ps_rule *rule, int16_t protocol, struct ps_rule_entry *e)
{
	struct ps_rule_key *key = &e->key, *mask = &e->tuple.mask;
	uint8_t family = protocol_family(protocol);

	*e = (struct ps_rule_entry){0};
	set_addr(&rule->src_ip, key->saddr, mask->saddr, &key->family, &mask->family);
	set_addr(&rule->dst_ip, key->daddr, mask->daddr, &key->family, &mask->family);
	if (protocol != PS_RULE_ANY) {
		key->proto = (uint8_t)protocol;
		mask->proto = 0xff;
	}
	if (family) {
		key->family = family;
		mask->family = 0xff;
	}
	set_port(&rule->src_port, &key->sport, &mask->sport);
	set_port(&rule->dst_port, &key->dport, &mask->dport);
	if (rule->icmp_type != PS_RULE_ANY) {
		set_u16((uint16_t)rule->icmp_type, &key->sport, &mask->sport);
		e->tuple.flags |= PS_TUPLE_NAMES_ICMP;
	}
	if (rule->icmp_code != PS_RULE_ANY)
		set_u16((uint16_t)rule->icmp_code, &key->dport, &mask->dport);
	if (rule->tcp_flags_mask) {
		key->tcp_flags = rule->tcp_flags;
		mask->tcp_flags = rule->tcp_flags_mask;
		e->tuple.flags |= PS_TUPLE_TCP_FLAGS;
	}
	if (rule->direction != (PS_DIR_INGRESS | PS_DIR_EGRESS)) {
		key->direction = rule->direction;
		mask->direction = 0xff;
	}
	if (ps_rule_tests_quoted(rule)) {
		e->tuple.flags |= PS_TUPLE_QUOTED;
		compile_quoted(rule, e);
	}
}

static bool is_single(const struct ps_ports *p)
{
	return !p->n || (p->n == 1 && ps_ports_ranges(p)->lo == ps_ports_ranges(p)->hi);
}

static bool is_address(const struct ps_net *n)
{
	return n->len == ps_net_bits(n->addr.family);
}

/* The field that the kernel part cannot do, NULL if there is none. */
static const char *unsupported(const struct ps_rule *r)
{
	const struct {
		const char *field;
		bool fine;
	} rows[] = {
		{"src_ip", is_address(&r->src_ip)},
		{"dst_ip", is_address(&r->dst_ip)},
		{"inner_src_ip", is_address(&r->inner_src_ip)},
		{"inner_dst_ip", is_address(&r->inner_dst_ip)},
		{"src_port", is_single(&r->src_port)},
		{"dst_port", is_single(&r->dst_port)},
		{"inner_src_port", is_single(&r->inner_src_port)},
		{"inner_dst_port", is_single(&r->inner_dst_port)},
		{"mode", r->mode == PS_MODE_ENFORCE},
		{"rate_limit", !r->rate_limit},
		{"ttl", !r->expires_at},
		{"confirm_within", !r->confirm_by},
	};

	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++)
		if (!rows[i].fine)
			return rows[i].field;
	return NULL;
}

int ps_rule_compile(
	const struct ps_rule *rule, struct ps_rule_entry ret_entry[static PS_RULE_ENTRIES_MAX], struct ps_error *err)
{
	const char *field = unsupported(rule);

	if (field)
		return ps_error_set(err, -ENOTSUP, 507, "unsupported", field,
			"the kernel part cannot do what %s asks for; leave the rule disabled", field);
	if (rule->protocol == PS_RULE_ANY && (rule->src_port.n || rule->dst_port.n)) {
		compile_for(rule, IPPROTO_TCP, &ret_entry[0]);
		compile_for(rule, IPPROTO_UDP, &ret_entry[1]);
		return 2;
	}
	compile_for(rule, rule->protocol, &ret_entry[0]);
	return 1;
}
