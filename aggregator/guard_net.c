#include "aggregator/guard_net.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "aggregator/guard_lane.h"

static bool in_force(const struct ps_rule *rule, uint64_t now)
{
	return rule->enabled && rule->mode == PS_MODE_ENFORCE && !ps_rule_expired(rule, now) &&
	       !(rule->confirm_by && rule->confirm_by <= now);
}

bool ps_guard_drops(const struct ps_rule *rule, uint64_t now)
{
	return rule->action == PS_RULE_ACTION_DROP && in_force(rule, now);
}

bool ps_guard_allows_for_good(const struct ps_rule *rule, uint64_t now)
{
	return rule->action == PS_RULE_ACTION_ALLOW && !rule->expires_at && !rule->confirm_by && in_force(rule, now);
}

int ps_guard_allows_of(const struct ps_rule_view *set, uint64_t now, struct ps_guard_allows *ret_allows)
{
	size_t n = 0;

	for (size_t i = 0; i <= set->n; i++) {
		const struct ps_rule *rule = ps_rule_view_at(set, i);

		n += rule && ps_guard_allows_for_good(rule, now);
	}
	ret_allows->rule = calloc(n + 1, sizeof(struct ps_rule *));
	ret_allows->n = 0;
	if (!ret_allows->rule)
		return -ENOMEM;
	for (size_t i = 0; i <= set->n; i++) {
		const struct ps_rule *rule = ps_rule_view_at(set, i);

		if (rule && ps_guard_allows_for_good(rule, now))
			ret_allows->rule[ret_allows->n++] = rule;
	}
	return 0;
}

void ps_guard_allows_free(struct ps_guard_allows *allows)
{
	free(allows->rule);
	*allows = (struct ps_guard_allows){0};
}

static bool is_discovery(const struct ps_rule *rule)
{
	return rule->protocol == IPPROTO_ICMPV6 && rule->icmp_type >= 133 && rule->icmp_type <= 137;
}

static bool protocol_covers(const struct ps_rule *allow, const struct ps_rule *drop)
{
	if (allow->protocol != PS_RULE_ANY && allow->protocol != drop->protocol)
		return false;
	if (allow->icmp_type != PS_RULE_ANY ? allow->icmp_type != drop->icmp_type : is_discovery(drop))
		return false;
	if (allow->icmp_code != PS_RULE_ANY && allow->icmp_code != drop->icmp_code)
		return false;
	return !allow->tcp_flags_mask ||
	       (allow->tcp_flags_mask == drop->tcp_flags_mask && allow->tcp_flags == drop->tcp_flags);
}

/* Does `allow` match all that `drop` matches of the network, in that direction? */
static bool covers(const struct ps_rule *allow, const struct ps_rule *drop, const struct ps_net *net, uint8_t direction)
{
	bool in = direction == PS_DIR_INGRESS;
	const struct ps_net *remote = in ? &drop->src_ip : &drop->dst_ip;
	const struct ps_net *local = in ? &drop->dst_ip : &drop->src_ip;
	/* Of two networks that overlap, what they have in common is the smaller one. */
	const struct ps_net *common = ps_net_contains(remote, net) ? net : remote;

	return (allow->direction & direction) && ps_rule_compare(allow, drop) < 0 && !ps_rule_tests_quoted(allow) &&
	       ps_net_contains(in ? &allow->src_ip : &allow->dst_ip, common) &&
	       ps_net_contains(in ? &allow->dst_ip : &allow->src_ip, local) &&
	       ps_ports_contain(&allow->src_port, &drop->src_port) &&
	       ps_ports_contain(&allow->dst_port, &drop->dst_port) && protocol_covers(allow, drop);
}

static bool exposed_in(
	const struct ps_guard_allows *allows, const struct ps_rule *drop, const struct ps_net *net, uint8_t direction)
{
	if (!(drop->direction & direction) ||
		!ps_net_overlaps(direction == PS_DIR_INGRESS ? &drop->src_ip : &drop->dst_ip, net))
		return false;
	for (size_t i = 0; i < allows->n; i++) {
		if (covers(allows->rule[i], drop, net, direction))
			return false;
	}
	return true;
}

bool ps_guard_exposes(const struct ps_guard_allows *allows, const struct ps_rule *drop, const struct ps_net *net)
{
	return ps_guard_flags_live(drop) &&
	       (exposed_in(allows, drop, net, PS_DIR_INGRESS) || exposed_in(allows, drop, net, PS_DIR_EGRESS));
}
