/*
 * The aggregator as a whole: the kernel's tables on one side, the collector's stream on the other, what is known in
 * between, and what is told to whoever listens. It knows no clock and no descriptor: its owner (main.c, or a test)
 * calls it with messages, with the time, and before it reads the tables.
 */
#ifndef PS_AGG_AGGREGATOR_H
#define PS_AGG_AGGREGATOR_H

#include <stdbool.h>
#include <stdint.h>

#include "common/model/conn_table.h"
#include "aggregator/conn_walk.h"
#include "aggregator/feed.h"
#include "aggregator/guard_watch.h"
#include "aggregator/icmp_table.h"
#include "aggregator/iface_names.h"
#include "aggregator/kernel.h"
#include "aggregator/protected.h"
#include "aggregator/rule_stage.h"
#include "aggregator/rule_store.h"
#include "aggregator/stats_report.h"
#include "aggregator/sweep.h"
#include "common/bus/bus.h"

/* The time, by three clocks read together. */
struct ps_agg_time {
	uint64_t boot;       /* ns; what the kernel part stamps */
	int64_t wall_offset; /* wall = boot + this */
};

static inline uint64_t ps_agg_wall(const struct ps_agg_time *t)
{
	return t->boot + (uint64_t)t->wall_offset;
}

/* Where connections and maps go. Each member may be NULL: nobody listens. */
struct ps_agg_listener {
	void (*conn)(void *arg, enum ps_topic topic, const struct ps_conn *c, uint64_t now);
	void (*map)(void *arg, enum ps_topic topic, const struct ps_value *v);
	void *arg;
};

struct ps_agg_config {
	/* Called every millisecond or so of a tick's work, so that the stream does not wait for it: the owner gives
	 * messages that have come to ps_aggregator_message, and calls nothing else. NULL: nobody waits. */
	void (*breathe)(void *arg);
	void *breathe_arg;
	const char *state_dir;
	const char *boot_id;     /* of this boot; NULL = "" */
	const char *protect;     /* networks that no rule may cut: "10.0.0.0/8,…"; NULL = none */
	struct ps_ports ssh;     /* ports of sessions that no rule may cut; the owner's */
	struct ps_host_ops host; /* read NULL: nothing is known of the host */
	struct ps_timeouts timeouts;
	struct ps_kernel kernel;
	struct ps_agg_listener listener;
};

/* Thrown away before it came to the tables. */
struct ps_agg_thrown {
	uint64_t broken_messages; /* of the feed: against the format */
	uint64_t broken_requests;
	uint64_t late_requests; /* past their deadline */
};

struct ps_aggregator {
	struct ps_agg_config config;
	uint64_t started; /* boot time, ns */

	/* The kernel's side. */
	bool attached;
	struct ps_kernel_view view; /* while attached */
	char kernel_reason[256];    /* why it is not; "" = it is */
	struct ps_iface_names ifaces;
	struct ps_sweep *sweep; /* while attached */
	struct ps_sweep_result swept;
	uint64_t refreshed; /* when the tables were last brought up to date */
	struct ps_stats_sample before, after;
	uint64_t icmp_seen; /* ICMP messages counted when ps_icmp was last read */
	uint64_t lost_seen; /* events lost in the rings, as last looked at */

	/* Resynchronisation: a pass over the kernel's table, and a tick later the end of what it didn't meet. */
	bool suspects;    /* a pass was made, the end is due */
	unsigned surplus; /* ticks in a row with more known connections than the kernel has */
	bool resync;      /* make a pass with the next tick */

	/* What is known. */
	struct ps_conn_table *conns;
	struct ps_conn_walks *walks; /* lists of conns that are being read */
	struct ps_icmp_table *icmp;
	struct ps_feed feed;
	struct ps_rule_store *rules;
	struct ps_rule_stage stage; /* what comes in pieces and is not in the store yet */
	struct ps_protected *protected;
	struct ps_guard_watch watch; /* what the rules must not cut */
	struct ps_agg_thrown thrown; /* the owner counts them, since it began */
	struct ps_agg_thrown booked; /* of those, what is in the ledger */
	uint64_t snapshot_at;        /* when the last one was published */
};

/* Loads the rules; opens nothing of the kernel yet. -EINVAL: `protect` is no list of networks; -ENOMEM. */
int ps_aggregator_new(const struct ps_agg_config *config, const struct ps_agg_time *now, struct ps_aggregator **ret_agg,
	struct ps_error *err);
void ps_aggregator_free(struct ps_aggregator **agg);

/* One message of the collector's feed. -EBADMSG as ps_feed_message. */
int ps_aggregator_message(struct ps_aggregator *a, const struct ps_message *m, const struct ps_agg_time *now);

/*
 * The work of each second: finds or loses the kernel's maps, sweeps, expires, resynchronises after a gap, publishes
 * what moved, the statistics, and every PS_SNAPSHOT_NS the most active connections.
 */
void ps_aggregator_tick(struct ps_aggregator *a, const struct ps_agg_time *now);

/* Brings connections up to date with the kernel, unless that was done less than PS_FRESH_NS ago. */
void ps_aggregator_refresh(struct ps_aggregator *a, const struct ps_agg_time *now);
/* The same for ICMP; costs nothing while no message came. */
void ps_aggregator_refresh_icmp(struct ps_aggregator *a, const struct ps_agg_time *now);

/*
 * Why nothing is counted or enforced, or not by the rules that are listed: no maps, programs on no interface, rules
 * that don't fit. NULL: all is as it should be.
 */
const char *ps_aggregator_trouble(struct ps_aggregator *a);

/* The body of `stats`, counters read now. NULL: no kernel part (err: 503) or no memory. */
struct ps_value *ps_aggregator_stats(struct ps_aggregator *a, const struct ps_agg_time *now, struct ps_error *err);

#endif
