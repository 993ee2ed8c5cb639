/* See rule.h, ps_rule_warnings: what is legal but hurts. */
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/limits.h"
#include "common/model/rule.h"
#include "common/model/rule_fields.h"

#define FLAG_FIN 0x01
#define FLAG_SYN 0x02
#define FLAG_RST 0x04
#define FLAG_ACK 0x10

/* A rule that is gone sooner is gone before anyone has seen what it does. */
#define TTL_SHORT_S 10

/* --- One rule -------------------------------------------------------------------------------- */

static bool is_family(const struct ps_net *n)
{
	return !n->len; /* any, 0.0.0.0/0, ::/0 */
}

static bool tests_ports(const struct ps_rule *r)
{
	return r->src_port.n || r->dst_port.n;
}

static bool everywhere(const struct ps_rule *r)
{
	return is_family(&r->src_ip) && is_family(&r->dst_ip);
}

static bool matches_everything(const struct ps_rule *r)
{
	return r->protocol == PS_RULE_ANY && everywhere(r) && !tests_ports(r);
}

static bool includes(int16_t wanted, int16_t value)
{
	return wanted == PS_RULE_ANY || wanted == value;
}

/* The messages that tell a sender that its packets are too big, RFC 1191 and RFC 8201: any router may send them. */
static bool drops_too_big(const struct ps_rule *r)
{
	return r->protocol == IPPROTO_ICMP && is_family(&r->src_ip) && includes(r->icmp_type, 3) &&
	       includes(r->icmp_code, 4);
}

static bool drops_too_big6(const struct ps_rule *r)
{
	return r->protocol == IPPROTO_ICMPV6 && is_family(&r->src_ip) && includes(r->icmp_type, 2) &&
	       includes(r->icmp_code, 0);
}

static bool drops_discovery(const struct ps_rule *r)
{
	return r->protocol == IPPROTO_ICMPV6 && r->icmp_type >= PS_ND_FIRST && r->icmp_type <= PS_ND_LAST;
}

/* Group membership (MLD, RFC 2710 and RFC 3810): without it switches stop sending neighbour solicitations. */
static bool drops_membership(const struct ps_rule *r)
{
	return r->protocol == IPPROTO_ICMPV6 && ((r->icmp_type >= 130 && r->icmp_type <= 132) || r->icmp_type == 143);
}

/* Answers come to a port that the kernel chose. */
static bool drops_answers(const struct ps_rule *r)
{
	return (r->tcp_flags & FLAG_SYN) && !(r->tcp_flags_mask & FLAG_ACK) && !r->dst_port.n;
}

static bool drops_established(const struct ps_rule *r)
{
	return r->tcp_flags == FLAG_ACK && r->tcp_flags_mask == FLAG_ACK;
}

static bool drops_endings(const struct ps_rule *r)
{
	return (r->tcp_flags & (FLAG_FIN | FLAG_RST)) && !(r->tcp_flags & FLAG_SYN) && everywhere(r) && !tests_ports(r);
}

/* Answers to this host's own questions, as they come in. */
static bool drops_udp_from(const struct ps_rule *r, uint16_t port)
{
	return (r->protocol == IPPROTO_UDP || r->protocol == PS_RULE_ANY) && (r->direction & PS_DIR_INGRESS) &&
	       everywhere(r) && r->src_port.n && ps_ports_have(&r->src_port, port);
}

static bool drops_dns(const struct ps_rule *r)
{
	return drops_udp_from(r, 53) && !r->dst_port.n;
}

static bool drops_dhcp(const struct ps_rule *r)
{
	bool client = r->dst_port.n && ps_ports_have(&r->dst_port, 68);

	return (r->protocol == IPPROTO_UDP || r->protocol == PS_RULE_ANY) && (r->direction & PS_DIR_INGRESS) &&
	       is_family(&r->src_ip) && (client || drops_udp_from(r, 67));
}

static bool drops_all_of_protocol(const struct ps_rule *r)
{
	return (r->protocol == IPPROTO_TCP || r->protocol == IPPROTO_UDP) && everywhere(r) && !tests_ports(r) &&
	       !r->tcp_flags_mask;
}

static bool wide_network(const struct ps_net *n)
{
	return n->len && n->len < (n->addr.family == PS_FAMILY_IPV6 ? 16 : 8);
}

static bool drops_wide_network(const struct ps_rule *r)
{
	return wide_network(&r->src_ip) || wide_network(&r->dst_ip);
}

static bool ports_of_two_protocols(const struct ps_rule *r)
{
	return r->protocol == PS_RULE_ANY && tests_ports(r);
}

static bool code_without_type(const struct ps_rule *r)
{
	return r->icmp_code != PS_RULE_ANY && r->icmp_type == PS_RULE_ANY;
}

static const struct {
	bool (*applies)(const struct ps_rule *r); /* to a drop rule */
	const char *text;
} rows[] = {
	{matches_everything, "This rule drops every packet in its direction, yours included."},
	{drops_all_of_protocol, "This rule drops the whole protocol in its direction, answers to this host's own "
				"requests included; name a port or an address."},
	{drops_too_big, "Dropping ICMP type 3 code 4 breaks path-MTU discovery: connections over links with a smaller "
			"MTU may hang. An allow rule for type 3 code 4 with a lower priority number avoids it."},
	{drops_too_big6,
		"Dropping ICMPv6 type 2 (packet too big) breaks path-MTU discovery: IPv6 has no other way. An allow "
		"rule for type 2 with a lower priority number avoids it."},
	{drops_discovery, "Dropping ICMPv6 types 133 to 137 (neighbour discovery) cuts the host off from IPv6."},
	{drops_membership, "Dropping ICMPv6 types 130 to 132 and 143 (multicast listeners) can make switches withhold "
			   "neighbour discovery: IPv6 then fails after some minutes."},
	{drops_answers,
		"This also matches SYN+ACK, the answers to connections that this host opens. With tcp_flags_mask 18 it "
		"matches only connection requests."},
	{drops_established, "This matches nearly every packet of a TCP connection (all but the first have ACK set): it "
			    "cuts them all, it does not only stop new ones."},
	{drops_endings, "Without FIN and RST both ends keep connections that are over until their own timers run out."},
	{drops_dns, "This drops the answers of DNS servers: names can't be looked up over UDP any more."},
	{drops_dhcp, "This drops the answers of DHCP servers: the host loses its address when the lease ends."},
	{drops_wide_network, "The network is very large (a prefix of less than 8 bits, IPv6 16): a typing error?"},
	{ports_of_two_protocols,
		"Without a protocol this matches the port in TCP and in UDP; rule_type tcp or udp names one."},
	{code_without_type, "The same icmp_code means different things for each icmp_type; name the type too."},
};

static int add(struct ps_value *list, const char *text)
{
	return ps_value_append(list, ps_value_string(text));
}

__attribute__((format(printf, 2, 3))) static int addf(struct ps_value *list, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return add(list, text);
}

static int add_own(struct ps_value *list, const struct ps_rule *rule, uint64_t now)
{
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		if (rule->action == PS_RULE_ACTION_DROP && rows[i].applies(rule) && add(list, rows[i].text))
			return -1;
	}
	if (ps_rule_expired(rule, now))
		return add(list, "This rule is past its time and matches nothing; give it a new ttl, or delete it.");
	if (rule->expires_at && rule->expires_at - now < TTL_SHORT_S * PS_NSEC)
		return addf(list, "This rule ends within %d seconds: hardly time to see what it does.", TTL_SHORT_S);
	return 0;
}

struct ps_value *ps_rule_warnings(const struct ps_rule *rule, uint64_t now)
{
	_cleanup_(ps_value_free) struct ps_value *list = ps_value_list();

	if (!list || add_own(list, rule, now))
		return NULL;
	return PS_TAKE(list);
}

/* --- A rule among others --------------------------------------------------------------------- */

/* Does `first` take away from `second` all that it would match? */
static bool hides(const struct ps_rule *first, const struct ps_rule *second, uint64_t now)
{
	return first->enabled && !first->rate_limit && !ps_rule_expired(first, now) && first->id != second->id &&
	       (first->mode == PS_MODE_ENFORCE || second->mode == PS_MODE_SHADOW) &&
	       ps_rule_compare(first, second) < 0 && ps_rule_covers(first, second);
}

const struct ps_rule *ps_rule_hidden_by(const struct ps_rule *rule, const struct ps_rule *rules, size_t n, uint64_t now)
{
	const struct ps_rule *best = NULL;

	for (size_t i = 0; i < n; i++)
		if (hides(&rules[i], rule, now) && (!best || ps_rule_compare(&rules[i], best) < 0))
			best = &rules[i];
	return best;
}

static int add_hidden(struct ps_value *list, const struct ps_rule *rule, const struct ps_rule *by)
{
	bool opposite = rule->action != by->action;

	if (opposite)
		return addf(list,
			"This %s rule has no effect: rule %d (priority %d) stands before it and %s all that it names. "
			"Give it a priority below %d.",
			rule->action == PS_RULE_ACTION_DROP ? "drop" : "allow", by->id, by->priority,
			by->action == PS_RULE_ACTION_DROP ? "drops" : "allows", by->priority);
	return addf(list, "This rule never decides: rule %d (priority %d) stands before it and %s all that it names.",
		by->id, by->priority, by->action == PS_RULE_ACTION_DROP ? "drops" : "allows");
}

/* What this rule takes from those behind it. */
static int add_hiding(
	struct ps_value *list, const struct ps_rule *rule, const struct ps_rule *rules, size_t n, uint64_t now)
{
	const struct ps_rule *first = NULL;
	size_t hidden = 0;

	for (size_t i = 0; i < n; i++) {
		if (!rules[i].enabled || rules[i].action == rule->action || !hides(rule, &rules[i], now))
			continue;
		hidden++;
		if (!first || ps_rule_compare(&rules[i], first) < 0)
			first = &rules[i];
	}
	if (!hidden)
		return 0;
	return addf(list, "This rule stands before rule %d (%s)%s and takes all that %s: %s %s no effect.", first->id,
		first->action == PS_RULE_ACTION_DROP ? "drop" : "allow", hidden > 1 ? " and others" : "",
		hidden > 1 ? "they name" : "it names", hidden > 1 ? "they" : "it", hidden > 1 ? "have" : "has");
}

struct ps_value *ps_rule_warnings_among(const struct ps_rule *rule, const struct ps_rule *rules, size_t n, uint64_t now)
{
	_cleanup_(ps_value_free) struct ps_value *list = ps_rule_warnings(rule, now);
	const struct ps_rule *by = ps_rule_hidden_by(rule, rules, n, now);

	if (!list || (by && add_hidden(list, rule, by)) || add_hiding(list, rule, rules, n, now))
		return NULL;
	return PS_TAKE(list);
}

/* --- A whole set ----------------------------------------------------------------------------- */

struct ps_value *ps_rules_warnings(const struct ps_rule *rules, size_t n, size_t max, uint64_t now)
{
	_cleanup_(ps_value_free) struct ps_value *list = ps_value_list();
	size_t more = 0;

	for (size_t i = 0; list && i < n; i++) {
		_cleanup_(ps_value_free) struct ps_value *own = ps_rule_warnings(&rules[i], now);
		const struct ps_rule *by = n > PS_RULE_LINT_MAX ? NULL : ps_rule_hidden_by(&rules[i], rules, n, now);

		if (!own || (by && rules[i].enabled && add_hidden(own, &rules[i], by)))
			return NULL;
		for (size_t k = 0; k < ps_value_count(own); k++) {
			const char *text = ps_value_as_string(ps_value_at(own, k), "");

			if (ps_value_count(list) >= max)
				more++;
			else if (addf(list, "rule %d: %s", rules[i].id, text))
				return NULL;
		}
	}
	if (!list || (more && addf(list, "%zu more warnings", more)))
		return NULL;
	return PS_TAKE(list);
}
