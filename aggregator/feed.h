/*
 * The collector's stream: messages into the tables, with an account of what came and what is missing.
 */
#ifndef PS_AGG_FEED_H
#define PS_AGG_FEED_H

#include <stdbool.h>
#include <stdint.h>

#include "common/model/conn_table.h"
#include "aggregator/icmp_table.h"
#include "aggregator/sweep.h"
#include "bpf/abi.h"
#include "common/bus/bus.h"

#define PS_FEED_TOPICS \
	(1u << PS_TOPIC_CONN_NEW | 1u << PS_TOPIC_CONN_UPDATE | 1u << PS_TOPIC_CONN_END | 1u << PS_TOPIC_ICMP | \
		1u << PS_TOPIC_DROP)

struct ps_feed {
	struct ps_conn_table *conns;
	struct ps_icmp_table *icmp;
	struct ps_sweep *sweep;          /* hears of new connections; NULL while there are no maps */
	int64_t wall_offset;             /* wall clock - boot time, for it */
	struct ps_ledger *ledger;        /* applied and missed are counted here; NULL while there are no maps */
	uint64_t uncounted[PS_EV_TYPES]; /* applied while there was none */
	uint64_t epoch;                  /* of the collector; 0 = nothing heard yet */
	uint64_t seq[PS_TOPICS];         /* last message applied, by topic */
	bool gap; /* something is missing since the owner cleared this: read the kernel's tables again */
};

/*
 * Applies one message. Messages come in order, so the records that the publisher counted before this one and that have
 * not come are missing for good: they are counted as missed, to the record, whichever process was killed between.
 * now: boot time, ns. -EBADMSG: its records break the format; those before the break are in.
 */
int ps_feed_message(struct ps_feed *f, const struct ps_message *m, uint64_t now);

#endif
