/* See rule.h, ps_rule_matches: the naive reference. */
#include <arpa/inet.h>
#include <netinet/in.h>

#include "common/base/cleanup.h"
#include "common/model/rule.h"
#include "common/model/rule_fields.h"

bool ps_rule_tests_quoted(const struct ps_rule *rule)
{
	return rule->inner_src_ip.addr.family || rule->inner_dst_ip.addr.family ||
	       rule->inner_protocol != PS_RULE_ANY || rule->inner_src_port.n || rule->inner_dst_port.n;
}

uint8_t ps_rule_protocol_family(int16_t protocol)
{
	if (protocol == IPPROTO_ICMP)
		return PS_FAMILY_IPV4;
	return protocol == IPPROTO_ICMPV6 ? PS_FAMILY_IPV6 : PS_FAMILY_NONE;
}

static bool has_ports(int proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP;
}

static bool ports_match(const struct ps_ports *src, const struct ps_ports *dst, uint8_t proto, __u16 sport, __u16 dport)
{
	if (!src->n && !dst->n)
		return true;
	return has_ports(proto) && ps_ports_have(src, ntohs(sport)) && ps_ports_have(dst, ntohs(dport));
}

static bool icmp_matches(const struct ps_rule *rule, const struct ps_rule_key *key, unsigned known)
{
	uint8_t family = ps_rule_protocol_family(key->proto);
	bool icmp = family && family == key->family; /* the other's number over the wrong header is no ICMP */
	uint16_t type = ntohs(key->sport);

	if (rule->icmp_type == PS_RULE_ANY && key->proto == IPPROTO_ICMPV6 && icmp && type >= PS_ND_FIRST &&
		type <= PS_ND_LAST)
		return false; /* neighbour discovery: only who names it gets it */
	if (rule->icmp_type == PS_RULE_ANY && rule->icmp_code == PS_RULE_ANY)
		return true;
	return icmp && (known & PS_KNOWN_PORTS) && (rule->icmp_type == PS_RULE_ANY || rule->icmp_type == type) &&
	       (rule->icmp_code == PS_RULE_ANY || rule->icmp_code == ntohs(key->dport));
}

static bool quoted_matches(const struct ps_rule *rule, const struct ps_rule_inner *inner, unsigned known)
{
	if (!ps_rule_tests_quoted(rule))
		return true;
	if (!inner || !inner->family || !(known & PS_KNOWN_QUOTED))
		return false;
	return ps_net_has(&rule->inner_src_ip, inner->family, inner->saddr) &&
	       ps_net_has(&rule->inner_dst_ip, inner->family, inner->daddr) &&
	       (rule->inner_protocol == PS_RULE_ANY || rule->inner_protocol == inner->proto) &&
	       ports_match(&rule->inner_src_port, &rule->inner_dst_port, inner->proto, inner->sport, inner->dport);
}

bool ps_rule_matches_known(
	const struct ps_rule *rule, const struct ps_rule_key *key, const struct ps_rule_inner *inner, unsigned known)
{
	uint8_t family = ps_rule_protocol_family(rule->protocol);

	if (!(rule->direction & key->direction))
		return false;
	if (rule->protocol != PS_RULE_ANY && rule->protocol != key->proto)
		return false;
	if (family && family != key->family)
		return false;
	if (!ps_net_has(&rule->src_ip, key->family, key->saddr) || !ps_net_has(&rule->dst_ip, key->family, key->daddr))
		return false;
	if (!ports_match(&rule->src_port, &rule->dst_port, key->proto, key->sport, key->dport))
		return false;
	if (rule->tcp_flags_mask && (key->proto != IPPROTO_TCP || !(known & PS_KNOWN_TCP_FLAGS) ||
					    (key->tcp_flags & rule->tcp_flags_mask) != rule->tcp_flags))
		return false;
	return icmp_matches(rule, key, known) && quoted_matches(rule, inner, known);
}

bool ps_rule_matches(const struct ps_rule *rule, const struct ps_rule_key *key, const struct ps_rule_inner *inner)
{
	return ps_rule_matches_known(rule, key, inner, PS_KNOWN_ALL);
}

/* --- Covering -------------------------------------------------------------------------------- */

/* The family that every packet of the rule has, PS_FAMILY_NONE for either. */
static uint8_t family_of(const struct ps_rule *r)
{
	const struct ps_net *nets[] = {&r->src_ip, &r->dst_ip, &r->inner_src_ip, &r->inner_dst_ip};
	uint8_t family = ps_rule_protocol_family(r->protocol);

	for (size_t i = 0; !family && i < PS_ARRAY_SIZE(nets); i++)
		family = nets[i]->addr.family;
	return family;
}

/* A network of length 0 is no more than a test of the family. */
static bool net_covers(const struct ps_net *wide, const struct ps_net *narrow, uint8_t narrow_family)
{
	if (wide->addr.family && !wide->len)
		return wide->addr.family == narrow_family;
	return ps_net_contains(wide, narrow);
}

/* A test of ports also says that there are any: TCP or UDP. */
static bool ports_cover(const struct ps_rule *wide, const struct ps_rule *narrow)
{
	bool narrow_has = has_ports(narrow->protocol) || narrow->src_port.n || narrow->dst_port.n;

	if (!wide->src_port.n && !wide->dst_port.n)
		return true;
	return narrow_has && ps_ports_contain(&wide->src_port, &narrow->src_port) &&
	       ps_ports_contain(&wide->dst_port, &narrow->dst_port);
}

static bool quoted_covers(const struct ps_rule *wide, const struct ps_rule *narrow, uint8_t narrow_family)
{
	if (!ps_rule_tests_quoted(wide))
		return true;
	return ps_rule_tests_quoted(narrow) && net_covers(&wide->inner_src_ip, &narrow->inner_src_ip, narrow_family) &&
	       net_covers(&wide->inner_dst_ip, &narrow->inner_dst_ip, narrow_family) &&
	       (wide->inner_protocol == PS_RULE_ANY || wide->inner_protocol == narrow->inner_protocol) &&
	       ps_ports_contain(&wide->inner_src_port, &narrow->inner_src_port) &&
	       ps_ports_contain(&wide->inner_dst_port, &narrow->inner_dst_port);
}

static bool number_covers(int16_t wide, int16_t narrow)
{
	return wide == PS_RULE_ANY || wide == narrow;
}

static bool names_discovery(const struct ps_rule *r)
{
	return r->protocol == IPPROTO_ICMPV6 && r->icmp_type >= PS_ND_FIRST && r->icmp_type <= PS_ND_LAST;
}

bool ps_rule_covers(const struct ps_rule *wide, const struct ps_rule *narrow)
{
	uint8_t family = family_of(narrow), wide_family = ps_rule_protocol_family(wide->protocol);

	if ((wide->direction & narrow->direction) != narrow->direction)
		return false;
	if (!number_covers(wide->protocol, narrow->protocol) || (wide_family && wide_family != family))
		return false;
	if (!net_covers(&wide->src_ip, &narrow->src_ip, family) || !net_covers(&wide->dst_ip, &narrow->dst_ip, family))
		return false;
	if (!number_covers(wide->icmp_type, narrow->icmp_type) || !number_covers(wide->icmp_code, narrow->icmp_code))
		return false;
	if (names_discovery(narrow) && wide->icmp_type == PS_RULE_ANY)
		return false;
	if ((wide->tcp_flags_mask & narrow->tcp_flags_mask) != wide->tcp_flags_mask ||
		(narrow->tcp_flags & wide->tcp_flags_mask) != wide->tcp_flags)
		return false;
	return ports_cover(wide, narrow) && quoted_covers(wide, narrow, family);
}
