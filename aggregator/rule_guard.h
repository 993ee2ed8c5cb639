/*
 * The lock-out guard: whose packets no rule may cut unless it is forced to, and whether a change of the rules would.
 * Pure: what lives on this host comes in as flows and networks, rules as lists; it knows no table, file or clock.
 *
 * A flow is a conversation with one other host, and stands for every packet that it can carry from now on, also when it
 * is begun anew: both directions, and for TCP the flags of opening, data and closing (not RST, and none of the
 * combinations that no TCP sends, so that rules against scans pass). Rules are read exactly as the kernel reads them
 * (ps_rule_matches), in order of (priority, id), with three differences, each to the safe side:
 *
 *	- an allow rule that ends by itself (expires_at, confirm_by) protects nothing, since what stands behind it bites
 *	  when it is gone; and a drop rule does not hide another one behind it;
 *	- a drop rule with a rate limit cuts nothing only where the limit is the other host's own (ingress) and at least
 *	  PS_GUARD_RATE packets a second, or where it meets nothing but the opening of connections;
 *	- shadow rules, disabled ones and those whose time is up do not count.
 *
 * A change is refused for a packet that a drop rule meets after it and did not meet before it, so that what was forced
 * once does not stand in the way of everything that follows.
 *
 * Where the local port is any (a resolver's), single ports may be lost: a change is refused when more than
 * PS_GUARD_PORTS_CUT of the ports that Linux chooses from are cut by all rules together.
 *
 * A protected network is more: no drop rule may be able to match a packet from it (ingress) or to it (egress), whether
 * such packets are on their way or not and whatever its rate limit, unless one allow rule before it, which does not end
 * by itself, matches all of what the two have in common.
 */
#ifndef PS_AGG_RULE_GUARD_H
#define PS_AGG_RULE_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/model/addr.h"
#include "common/model/net.h"
#include "common/model/rule.h"
#include "common/model/value.h"

enum ps_guard_kind {
	PS_GUARD_CALLER,    /* who asks for the change */
	PS_GUARD_SSH,       /* an established session */
	PS_GUARD_DNS,       /* a name server of this host */
	PS_GUARD_GATEWAY,   /* a default gateway: echo both ways, and neighbour discovery */
	PS_GUARD_PROTECTED, /* a protected network */
};

const char *ps_guard_kind_name(enum ps_guard_kind kind);

/* Ports in host byte order. */
struct ps_guard_flow {
	uint8_t kind;  /* enum ps_guard_kind, not PROTECTED */
	uint8_t proto; /* TCP, UDP, ICMP, ICMPV6 */
	bool outgoing; /* this host opens it */
	struct ps_addr local, remote;
	uint16_t local_port, remote_port; /* local_port 0: any that Linux gives to who asks for none */
	uint64_t connection;              /* id, 0 = none */
};

struct ps_guard {
	const struct ps_guard_flow *flows;
	size_t n_flows;
	const struct ps_net *protected;
	size_t n_protected;
	uint64_t now; /* wall clock, ns */
};

/* A set of rules in order of id; or the set that it is but for one rule. */
struct ps_rule_view {
	const struct ps_rule *rules;
	size_t n;
	const struct ps_rule *without; /* one of them that does not count; NULL = none */
	const struct ps_rule *with;    /* counts too; NULL = none */
};

/* The rule number i, 0 … n; NULL: none stands there. */
static inline const struct ps_rule *ps_rule_view_at(const struct ps_rule_view *v, size_t i)
{
	if (i == v->n)
		return v->with;
	return &v->rules[i] == v->without ? NULL : &v->rules[i];
}

/*
 * Would the step from one set to the other cut something? `changed` is the id of the only rule that differs, or -1 when
 * any may. Appends up to PS_GUARD_REPORTS_MAX maps {kind, subject, connection, rule_id, message} to `report` (a list).
 * Returns how many things would be cut, or -ENOMEM.
 */
int ps_guard_check(const struct ps_guard *g, const struct ps_rule_view *before, const struct ps_rule_view *after,
	int64_t changed, struct ps_value *report);

/* "203.0.113.9:52114 -> 192.0.2.1:22", as a report names a flow. Returns buf. */
#define PS_GUARD_SUBJECT 128
char *ps_guard_subject(const struct ps_guard_flow *flow, char buf[static PS_GUARD_SUBJECT]);

#endif
