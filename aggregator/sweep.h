/*
 * The walk through the kernel's connection table: finds connections that moved since they last reported, ends those
 * that have been silent for too long, and repairs `confirmed` bits that a race left wrong.
 *
 * Expiry frees a slot that the kernel part may be using at the same moment, in steps that are each safe alone:
 *
 *	1. compare-and-exchange of the tag byte, live -> dying: from now on no packet finds the slot;
 *	2. id and last packet are compared again; if another connection took the slot, or a packet came, the byte is
 *	   put back;
 *	3. PS_EXPIRY_GRACE_NS later no CPU is still counting in it: read the final counters, clear the confirmed bit,
 *	   dying -> empty.
 *
 * A dying slot that the sweep did not make itself was left by a predecessor that was killed between 1 and 3; it is
 * finished.
 *
 * Memory: 16 bytes a slot; of a small table touched only where there are connections. Not thread-safe; knows no clock.
 */
#ifndef PS_AGG_SWEEP_H
#define PS_AGG_SWEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/model/conn_table.h"
#include "aggregator/expiry.h"
#include "aggregator/kernel.h"
#include "common/model/record.h"

struct ps_sweep;

/* `table` takes the records; view and table must outlive the sweep. -ENOMEM. */
int ps_sweep_new(const struct ps_kernel_view *view, struct ps_conn_table *table, struct ps_sweep **ret_sweep);
void ps_sweep_free(struct ps_sweep **sweep);

/*
 * The table knows this one now from the stream. Most of those that begin in a flood never send a second packet: a walk
 * that finds no more than the one that is told of here reads nothing else of it, and looks for it in no table.
 * wall_offset: wall clock - boot time. The other asks the processor for what it will touch.
 */
void ps_sweep_hear(struct ps_sweep *sweep, const struct ps_conn *conn, int64_t wall_offset);
void ps_sweep_prefetch(const struct ps_sweep *sweep, uint64_t id);

struct ps_sweep_run {
	uint64_t now; /* boot time, ns */
	const struct ps_record_env *env;
	const struct ps_timeouts *timeouts;
	bool refresh_only; /* bring the table up to date, but neither tell nor end anything: that waits for the next
			      whole run */
	bool look_at_all;  /* record every connection, whether it moved or not: for a resynchronisation */
	/* Told what moved (at most once a whole run for each connection), and what ended. NULL = nobody. */
	ps_conn_fn on_update;
	ps_conn_fn on_end;
	void (*breathe)(
		void *arg); /* called between two buckets, every half a millisecond of work: may apply records */
	void *arg;
};

struct ps_sweep_result {
	uint32_t used;      /* slots that hold a connection */
	uint32_t confirmed; /* of those, the ones that are never given up */
	uint32_t half_open; /* of those, TCP without a completed handshake, and unanswered UDP */
	uint32_t dying;     /* slots that wait for their grace to end */
	uint32_t updated;   /* records that said something new */
	uint32_t ended;     /* connections ended by this run */
};

/* One walk. -ENOMEM: some slots could not be recorded as dying and were left alone. */
int ps_sweep_run(struct ps_sweep *s, const struct ps_sweep_run *run, struct ps_sweep_result *ret_result);

#endif
