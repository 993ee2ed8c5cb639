/* See rule.h, ps_rule_matches: the naive reference. */
#include <arpa/inet.h>
#include <netinet/in.h>

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

static bool has_ports(uint8_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP;
}

static bool ports_match(const struct ps_ports *src, const struct ps_ports *dst, uint8_t proto, __u16 sport, __u16 dport)
{
	if (!src->n && !dst->n)
		return true;
	return has_ports(proto) && ps_ports_have(src, ntohs(sport)) && ps_ports_have(dst, ntohs(dport));
}

static bool icmp_matches(const struct ps_rule *rule, const struct ps_rule_key *key)
{
	uint8_t family = ps_rule_protocol_family(key->proto);
	bool icmp = family && family == key->family; /* the other's number over the wrong header is no ICMP */
	uint16_t type = ntohs(key->sport);

	if (rule->icmp_type == PS_RULE_ANY && key->proto == IPPROTO_ICMPV6 && icmp && type >= PS_ND_FIRST &&
		type <= PS_ND_LAST)
		return false; /* neighbour discovery: only who names it gets it */
	if (rule->icmp_type == PS_RULE_ANY && rule->icmp_code == PS_RULE_ANY)
		return true;
	return icmp && (rule->icmp_type == PS_RULE_ANY || rule->icmp_type == type) &&
	       (rule->icmp_code == PS_RULE_ANY || rule->icmp_code == ntohs(key->dport));
}

static bool quoted_matches(const struct ps_rule *rule, const struct ps_rule_inner *inner)
{
	if (!ps_rule_tests_quoted(rule))
		return true;
	if (!inner || !inner->family)
		return false;
	return ps_net_has(&rule->inner_src_ip, inner->family, inner->saddr) &&
	       ps_net_has(&rule->inner_dst_ip, inner->family, inner->daddr) &&
	       (rule->inner_protocol == PS_RULE_ANY || rule->inner_protocol == inner->proto) &&
	       ports_match(&rule->inner_src_port, &rule->inner_dst_port, inner->proto, inner->sport, inner->dport);
}

bool ps_rule_matches(const struct ps_rule *rule, const struct ps_rule_key *key, const struct ps_rule_inner *inner)
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
	if (rule->tcp_flags_mask &&
		(key->proto != IPPROTO_TCP || (key->tcp_flags & rule->tcp_flags_mask) != rule->tcp_flags))
		return false;
	return icmp_matches(rule, key) && quoted_matches(rule, inner);
}
