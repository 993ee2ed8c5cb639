/*
 * Impact preview: what a rule, or a whole set of rules, would do to the connections and ICMP messages that are known,
 * living ones and those that ended lately. Pure, over iterators.
 *
 * A connection is hit when the candidate would decide of packets that it carried (in either direction, with the TCP
 * flags that were seen), the rules that come before it considered. A candidate is judged as if it were enabled and
 * enforced; a set as it stands, and what it hits is what it drops. Quoted packets and fragments are not told apart from
 * what a record holds, and the flags of single packets are not known: of a connection that is hit, all packets of the
 * side are counted.
 */
#ifndef PS_AGG_RULE_PREVIEW_H
#define PS_AGG_RULE_PREVIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aggregator/host_facts.h"
#include "aggregator/rule_guard.h"
#include "common/model/schema.h"

#define PS_PREVIEW_IDS 20

struct ps_preview_input {
	/* Each call gives the next record, NULL at the end. */
	const struct ps_conn *(*next_conn)(void *arg, bool *ret_ended);
	const struct ps_icmp *(*next_icmp)(void *arg);
	void *arg;
	const struct ps_host_facts *host; /* tells which end is ours, and so the direction; unknown = either */
	struct ps_rule_view now;          /* the rules in force */
	uint64_t time;                    /* wall clock, ns */
	/* One of the two. A candidate has the id that it has or would get, and takes the place of the rule with it. */
	const struct ps_rule *candidate;
	const struct ps_rule_view *set;
};

struct ps_preview {
	uint64_t live, ended;         /* connections hit */
	uint64_t packets, bytes;      /* that they and the ICMP messages hit carried */
	uint64_t icmp;                /* ICMP records hit */
	uint64_t newly_dropped;       /* connections of which packets pass now and would not */
	uint64_t examined;            /* records looked at */
	uint64_t ids[PS_PREVIEW_IDS]; /* living ones first, those that pass now first, most bytes first */
	size_t n_ids;
};

/* -ENOMEM. */
int ps_rule_preview(const struct ps_preview_input *in, struct ps_preview *ret_preview);

#endif
