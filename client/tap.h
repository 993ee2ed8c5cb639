/*
 * A tap from inside. Private to the library.
 *
 * Messages come from three publishers. Normally the oldest of those that wait is taken, record by record (tap.c).
 * While a snapshot is read they are put aside; what is newer than the snapshot is taken when it is complete (sync.c):
 *
 *	stale      something is missing, a snapshot is due
 *	SYNC_JOIN  wait until every topic was heard: before that the subscriptions may not have reached the publishers
 *	SYNC_ASK   the first page is awaited; one that is older than what we have heard is asked for again
 *	SYNC_PAGE  rows come
 *	SYNC_LATE  the messages that were put aside; then what neither they nor the snapshot spoke of is gone
 */
#ifndef PS_CLIENT_TAP_H
#define PS_CLIENT_TAP_H

#include "client/limits.h"
#include "client/record.h"
#include "client/where.h"
#include "common/codec/batch.h"
#include "common/model/conn_table.h"

enum {
	SOURCE_EVENTS,
	SOURCE_STATE,
	SOURCE_FINDINGS,
	SOURCES,
};

struct ps_tap_source {
	struct ps_subscriber *sub; /* NULL: nothing is wanted of it */
	bool holds;                /* `held` waits for its turn */
	struct ps_message held;
	uint64_t epoch;                               /* of what was heard; 0 = nothing yet */
	uint64_t seq[PS_TOPICS], expected[PS_TOPICS]; /* last number heard; `before` of the next message */
	uint64_t valid_epoch, valid_seq[PS_TOPICS];   /* what the last snapshot holds */
};

enum ps_sync_phase {
	SYNC_IDLE,
	SYNC_JOIN,
	SYNC_ASK,
	SYNC_PAGE,
	SYNC_LATE,
};

/* A message put aside. */
struct ps_tap_aside {
	int source;
	struct ps_message m;
};

struct ps_tap {
	/* as set */
	struct ps_endpoints where;
	uint32_t topics;
	bool keeps_table;
	struct ps_where conditions;
	char *own_key, *server_key;
	ps_tap_gap_fn on_gap;
	void *on_gap_arg;
	ps_tap_resync_fn on_resync;
	void *on_resync_arg;

	struct ps_bus *bus;
	struct ps_tap_source source[SOURCES];
	struct ps_requester *query;
	int epoll;
	struct ps_error error;
	struct ps_tap_counters counters;

	/* the message, or page, that is being taken apart */
	enum {
		READING_NOTHING,
		READING_BATCH,
		READING_GONE
	} reading;
	int from; /* source, or SOURCES for a snapshot */
	struct ps_message m;
	struct ps_reply page;
	struct ps_batch_reader reader;
	struct ps_value *map;
	bool map_given;
	union {
		struct ps_conn conn;
		struct ps_icmp icmp;
		struct ps_drop drop;
	} record;
	struct ps_tap_record out, found;
	struct ps_buf json, line;

	/* the table */
	struct ps_conn_table *table;
	bool stale, synced;
	enum ps_sync_phase phase;
	uint64_t since;     /* boot time at which the phase began */
	uint64_t not_until; /* boot time before which nothing is asked */
	uint64_t behind_since;
	uint64_t request;
	char cursor[40];
	uint64_t rows;
	struct ps_tap_aside *aside;
	size_t n_aside, cap_aside, next_aside, late; /* the first `late` of them decide what is gone */
	size_t aside_bytes;
	struct ps_conn *gone;
	size_t n_gone, cap_gone, next_gone;
};

/* Topics that the table is made of. */
#define PS_TAP_TABLE_TOPICS (1u << PS_TOPIC_CONN_NEW | 1u << PS_TOPIC_CONN_UPDATE | 1u << PS_TOPIC_CONN_END)

/* sync.c */
/* Moves the snapshot on as far as it goes without waiting; true: something is being read. *ret_due: ns until it must be
 * looked at again. */
bool ps_tap_sync(struct ps_tap *tap, uint64_t now, uint64_t *ret_due);
/* Puts a message aside; it belongs to the tap then. */
bool ps_tap_put_aside(struct ps_tap *tap, int source, struct ps_message *m);
/* True while messages are to be put aside. */
bool ps_tap_puts_aside(const struct ps_tap *tap);
/* The next that was put aside and is to be taken now. */
bool ps_tap_take_aside(struct ps_tap *tap, int *ret_source, struct ps_message *ret_m);
void ps_tap_drop_aside(struct ps_tap *tap);

/* tap.c: begins to read a batch of the source. */
void ps_tap_begin(struct ps_tap *tap, int from, enum ps_record_type type, const struct ps_value *fields,
	const uint8_t *payload, size_t len);

#endif
