/* See rule.h, ps_rule_merge: what is derived, and what may stand beside what. Reading the fields is in rule_read.c. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/model/rule_fields.h"
#include "common/model/schema.h"

#define bad(err, field, ...) ps_error_set(err, -EINVAL, 400, "bad_value", field, __VA_ARGS__)

/* --- What is derived when it is not given ---------------------------------------------------- */

static bool any_ipv6(const struct ps_rule *r)
{
	return r->src_ip.addr.family == PS_FAMILY_IPV6 || r->dst_ip.addr.family == PS_FAMILY_IPV6 ||
	       r->inner_src_ip.addr.family == PS_FAMILY_IPV6 || r->inner_dst_ip.addr.family == PS_FAMILY_IPV6;
}

static int16_t derived_protocol(const struct ps_rule *r)
{
	switch (r->rule_type) {
	case PS_RULE_TCP:
		return IPPROTO_TCP;
	case PS_RULE_UDP:
		return IPPROTO_UDP;
	case PS_RULE_ICMP:
		return any_ipv6(r) ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	case PS_RULE_BASIC:
		break;
	}
	return PS_RULE_ANY;
}

/* A stored value that equals what would be derived is taken as derived, and follows what it was derived from. */
static void derive(const struct ps_rule *base, const bool given[static PS_RULE_N_FIELDS], struct ps_rule *r)
{
	if (!given[PS_RULE_FIELD_protocol] && base->protocol == derived_protocol(base))
		r->protocol = derived_protocol(r);
	if (given[PS_RULE_FIELD_tcp_flags] && !given[PS_RULE_FIELD_tcp_flags_mask] &&
		base->tcp_flags_mask == base->tcp_flags)
		r->tcp_flags_mask = r->tcp_flags;
}

/* --- What may stand beside what -------------------------------------------------------------- */

static const char *proto_text(int16_t proto, char buf[static 8])
{
	return proto == PS_RULE_ANY ? "any" : ps_proto_name((uint8_t)proto, buf);
}

static bool is_icmp(int16_t proto)
{
	return proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6;
}

static int check_type(const struct ps_rule *r, struct ps_error *err)
{
	static const char *const names[] = {"basic", "tcp", "udp", "icmp"};
	bool ok = r->rule_type == PS_RULE_BASIC;
	char proto[8];

	if (r->rule_type == PS_RULE_ICMP)
		ok = is_icmp(r->protocol);
	else if (!ok)
		ok = r->protocol == derived_protocol(r);
	if (ok)
		return 0;
	return bad(err, "protocol", "protocol is %s, but rule_type is %s; leave protocol out or make it %s",
		proto_text(r->protocol, proto), names[r->rule_type],
		r->rule_type == PS_RULE_ICMP ? "icmp or icmpv6" : names[r->rule_type]);
}

/* Does the field hold what stands for "no test"? */
static bool field_is_default(const struct ps_rule_field *f, const struct ps_rule *r)
{
	const void *at = (const uint8_t *)r + f->offset;

	switch (f->kind) {
	case PS_RF_NET:
		return !((const struct ps_net *)at)->addr.family;
	case PS_RF_PORTS:
		return !((const struct ps_ports *)at)->n;
	case PS_RF_FLAGS:
		return !*(const uint8_t *)at;
	case PS_RF_ICMP:
	case PS_RF_INNER_PROTO:
		return *(const int16_t *)at == PS_RULE_ANY;
	default:
		return true;
	}
}

static bool field_applies(const struct ps_rule_field *f, int16_t protocol)
{
	switch (f->applies) {
	case PS_APPLIES_PORTS:
		return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == PS_RULE_ANY;
	case PS_APPLIES_TCP:
		return protocol == IPPROTO_TCP;
	case PS_APPLIES_ICMP:
		return is_icmp(protocol);
	case PS_APPLIES_ANY:
		break;
	}
	return true;
}

static const char *no_test(enum ps_rule_kind kind)
{
	if (kind == PS_RF_NET || kind == PS_RF_INNER_PROTO)
		return "\"any\"";
	return kind == PS_RF_ICMP ? "255" : "0";
}

static int check_applies(const struct ps_rule *r, struct ps_error *err)
{
	static const char *const needs[] = {"any", "tcp, udp or any", "tcp", "icmp or icmpv6"};
	char proto[8];

	for (size_t i = 0; i < PS_RULE_N_FIELDS; i++) {
		const struct ps_rule_field *f = &ps_rule_fields[i];

		if (field_applies(f, r->protocol) || field_is_default(f, r))
			continue;
		return bad(err, f->name,
			"%s is set, but protocol is %s, which has none; make protocol %s, or make %s %s", f->name,
			proto_text(r->protocol, proto), needs[f->applies], f->name, no_test(f->kind));
	}
	return 0;
}

static int check_flags(const struct ps_rule *r, struct ps_error *err)
{
	if (!(r->tcp_flags & ~r->tcp_flags_mask))
		return 0;
	return bad(err, "tcp_flags_mask",
		"tcp_flags is %u, but tcp_flags_mask %u looks only at part of it, so nothing would match; leave "
		"tcp_flags_mask "
		"out, or make it %u",
		r->tcp_flags, r->tcp_flags_mask, r->tcp_flags | r->tcp_flags_mask);
}

static const char *family_name(uint8_t family)
{
	return family == PS_FAMILY_IPV6 ? "IPv6" : "IPv4";
}

/* One packet has one family: the addresses of both headers, and what protocol says, must agree. */
static int check_families(const struct ps_rule *r, struct ps_error *err)
{
	const struct {
		const char *name;
		const struct ps_net *net;
	} nets[] = {
		{"src_ip", &r->src_ip},
		{"dst_ip", &r->dst_ip},
		{"inner_src_ip", &r->inner_src_ip},
		{"inner_dst_ip", &r->inner_dst_ip},
	};
	const char *who = "protocol";
	uint8_t family = PS_FAMILY_NONE;
	char text[PS_NET_TEXT], proto[8];

	if (is_icmp(r->protocol))
		family = r->protocol == IPPROTO_ICMP ? PS_FAMILY_IPV4 : PS_FAMILY_IPV6;
	for (size_t i = 0; i < PS_ARRAY_SIZE(nets); i++) {
		if (!nets[i].net->addr.family)
			continue;
		if (family && nets[i].net->addr.family != family) {
			if (!strcmp(who, "protocol")) {
				return bad(err, nets[i].name,
					"%s is %s, an %s address, but protocol %s is %s; make protocol %s",
					nets[i].name, ps_net_format(nets[i].net, text),
					family_name(nets[i].net->addr.family), proto_text(r->protocol, proto),
					family_name(family), family == PS_FAMILY_IPV4 ? "icmpv6" : "icmp");
			}
			return bad(err, nets[i].name,
				"%s is %s, but %s is %s; one packet has one family: give both in the same",
				nets[i].name, ps_net_format(nets[i].net, text), who, family_name(family));
		}
		if (!family)
			who = nets[i].name;
		family = nets[i].net->addr.family;
	}
	return 0;
}

/* The kernel reads a quoted packet in these errors only (RFC 792, RFC 4443). */
static bool quotes(int16_t protocol, int16_t type)
{
	if (protocol == IPPROTO_ICMPV6)
		return type >= 1 && type <= 4;
	return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

static int check_quoted(const struct ps_rule *r, struct ps_error *err)
{
	bool v6 = r->protocol == IPPROTO_ICMPV6;
	char proto[8];

	if (!ps_rule_tests_quoted(r))
		return 0;
	if (r->icmp_type != PS_RULE_ANY && !quotes(r->protocol, r->icmp_type)) {
		return bad(err, "icmp_type",
			"icmp_type is %d, which quotes no packet, so the inner_ fields could never match; make it %s, "
			"or leave it out",
			r->icmp_type, v6 ? "1, 2, 3 or 4" : "3, 4, 5, 11 or 12");
	}
	if (r->inner_protocol == (v6 ? IPPROTO_ICMP : IPPROTO_ICMPV6)) {
		return bad(err, "inner_protocol",
			"inner_protocol is %s, but an %s error quotes an %s packet; make it %s",
			proto_text(r->inner_protocol, proto), v6 ? "ICMPv6" : "ICMP", v6 ? "IPv6" : "IPv4",
			v6 ? "icmpv6" : "icmp");
	}
	if ((r->inner_src_port.n || r->inner_dst_port.n) && r->inner_protocol != PS_RULE_ANY &&
		r->inner_protocol != IPPROTO_TCP && r->inner_protocol != IPPROTO_UDP) {
		const char *field = r->inner_src_port.n ? "inner_src_port" : "inner_dst_port";

		return bad(err, field,
			"%s is given, but inner_protocol is %s, which has no ports; make inner_protocol tcp or udp",
			field, proto_text(r->inner_protocol, proto));
	}
	return 0;
}

static int check_action(const struct ps_rule *r, struct ps_error *err)
{
	if (!r->rate_limit || r->action == PS_RULE_ACTION_DROP)
		return 0;
	return bad(err, "rate_limit",
		"rate_limit is %u, but action is allow; a limit says what passes before drop bites: make action drop, "
		"or "
		"rate_limit null",
		r->rate_limit);
}

static int check_rule(const struct ps_rule *r, struct ps_error *err)
{
	return check_type(r, err) ?: check_applies(r, err) ?: check_families(r, err) ?: check_flags(r, err)
		?: check_quoted(r, err)
		?: check_action(r, err);
}

static int read_rule(
	const struct ps_rule *base, const struct ps_value *body, struct ps_rule_reader *reader, struct ps_error *err)
{
	int r;

	if (ps_value_kind(body) != PS_VALUE_MAP) {
		return bad(err, "",
			"a rule is an object such as {\"rule_type\": \"tcp\", \"dst_port\": 23}, but the body is %s",
			ps_value_kind_name(ps_value_kind(body)));
	}
	if (ps_rule_copy(base, reader->rule))
		return ps_error_set(err, -ENOMEM, 507, "no_memory", "", "no memory for another rule");
	r = ps_rule_read_fields(body, reader, err);
	if (r)
		return r;
	derive(base, reader->given, reader->rule);
	return check_rule(reader->rule, err);
}

int ps_rule_merge(const struct ps_rule *base, const struct ps_value *body, uint64_t now, struct ps_rule *ret_rule,
	struct ps_rule_request *ret_request, struct ps_error *err)
{
	_cleanup_(ps_rule_clear) struct ps_rule rule = {0};
	struct ps_rule_request request = {0};
	struct ps_rule_reader reader = {.rule = &rule, .now = now, .request = ret_request ? &request : NULL};
	int r = read_rule(base, body, &reader, err);

	if (r)
		return r;
	if (ret_request)
		*ret_request = request;
	*ret_rule = rule;
	rule = (struct ps_rule){0};
	return 0;
}

int ps_rule_from_stored(const struct ps_value *body, struct ps_rule *ret_rule, struct ps_error *err)
{
	_cleanup_(ps_rule_clear) struct ps_rule rule = {0};
	struct ps_rule_reader reader = {.rule = &rule, .stored = true};
	struct ps_rule base;
	int r;

	ps_rule_defaults(&base);
	r = read_rule(&base, body, &reader, err);
	if (!r && !reader.given[PS_RULE_FIELD_id])
		r = bad(err, "id", "id is missing; give each rule a number of its own, from 0 to %u", PS_RULES_MAX - 1);
	if (r)
		return r;
	*ret_rule = rule;
	rule = (struct ps_rule){0};
	return 0;
}
