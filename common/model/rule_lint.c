/* See rule.h, ps_rule_warnings: what is legal but hurts. */
#include <netinet/in.h>

#include "common/base/cleanup.h"
#include "common/model/rule.h"
#include "common/model/rule_fields.h"

#define FLAG_SYN 0x02
#define FLAG_ACK 0x10

static bool matches_everything(const struct ps_rule *rule)
{
	return rule->protocol == PS_RULE_ANY && !rule->src_ip.addr.family && !rule->dst_ip.addr.family &&
	       !rule->src_port.n && !rule->dst_port.n;
}

static bool includes(int16_t wanted, int16_t value)
{
	return wanted == PS_RULE_ANY || wanted == value;
}

/* The messages that tell a sender that its packets are too big: RFC 1191 and RFC 8201. */
static bool includes_too_big(const struct ps_rule *rule)
{
	if (rule->protocol == IPPROTO_ICMP)
		return includes(rule->icmp_type, 3) && includes(rule->icmp_code, 4);
	return rule->protocol == IPPROTO_ICMPV6 && includes(rule->icmp_type, 2) && includes(rule->icmp_code, 0);
}

static const char drops_all[] = "This rule drops every packet in its direction, yours included.";
static const char drops_too_big[] = "Dropping ICMP type 3 code 4 breaks path-MTU discovery: connections over links "
				    "with a smaller MTU may hang. An allow "
				    "rule for type 3 code 4 with a lower priority number avoids it.";
static const char drops_too_big6[] =
	"Dropping ICMPv6 type 2 (packet too big) breaks path-MTU discovery: IPv6 has no other way.";
static const char drops_discovery[] =
	"Dropping ICMPv6 types 133 to 137 (neighbour discovery) cuts the host off from IPv6.";
static const char drops_answers[] = "This also matches SYN+ACK, the answers to connections that this host opens. With "
				    "tcp_flags_mask 18 it matches only "
				    "connection requests.";

struct ps_value *ps_rule_warnings(const struct ps_rule *rule)
{
	_cleanup_(ps_value_free) struct ps_value *list = ps_value_list();
	bool drop = rule->action == PS_RULE_ACTION_DROP;
	const struct {
		bool applies;
		const char *text;
	} rows[] = {
		{matches_everything(rule), drops_all},
		{includes_too_big(rule), rule->protocol == IPPROTO_ICMP ? drops_too_big : drops_too_big6},
		{rule->protocol == IPPROTO_ICMPV6 && rule->icmp_type >= PS_ND_FIRST && rule->icmp_type <= PS_ND_LAST,
			drops_discovery},
		{(rule->tcp_flags & FLAG_SYN) && !(rule->tcp_flags_mask & FLAG_ACK), drops_answers},
	};

	if (!list)
		return NULL;
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++)
		if (drop && rows[i].applies && ps_value_append(list, ps_value_string(rows[i].text)))
			return NULL;
	return PS_TAKE(list);
}
