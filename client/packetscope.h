/* SPDX-License-Identifier: MIT */
/*
 * libpacketscope: tap Packet Scope's stream from C.
 *
 *	struct ps_tap *tap = ps_tap_new();
 *	const struct ps_tap_record *r;
 *
 *	ps_tap_keep_table(tap, true);
 *	if (ps_tap_connect(tap) < 0)
 *		errx(1, "%s", ps_tap_error(tap));
 *	while (ps_tap_next(tap, -1, &r) > 0)
 *		puts(ps_tap_json(tap, r, NULL));
 *	ps_tap_free(&tap);
 *
 *	cc tap.c $(pkg-config --cflags --libs packetscope)
 *
 * A tap listens to the collector (`events`), the aggregator (`state`) and the AI worker (`findings`), notices every
 * loss by epoch and sequence number, and, if it keeps a table, catches up by itself with a snapshot: at the start,
 * after a loss, after a restart of either. docs/stream.md describes the format on the wire.
 *
 * Functions return 0 or more, or -errno; ps_tap_error then says what happened and what to do. A tap belongs to one
 * thread at a time. Strings and records that a tap gives out are its own, and valid until the next call of ps_tap_next
 * or of the same function.
 */
#ifndef PACKETSCOPE_H
#define PACKETSCOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PS_TAP_API __attribute__((visibility("default")))

struct ps_tap;
struct ps_tap_record;

/* NULL: no memory. */
PS_TAP_API struct ps_tap *ps_tap_new(void);
PS_TAP_API void ps_tap_free(struct ps_tap **tap);

/* --- what to listen to: before ps_tap_connect ------------------------------------------------------- */

/* Directory of the sockets on this host; /run/packetscope unless it is set. */
PS_TAP_API int ps_tap_set_run_dir(struct ps_tap *tap, const char *dir);

/*
 * Where the three sockets are, when not in the run directory: "tcp://192.0.2.1:5556". `query` is where snapshots are
 * asked for. NULL leaves one as it is.
 */
PS_TAP_API int ps_tap_set_endpoints(struct ps_tap *tap, const char *events, const char *state, const char *query);

/* Where the AI worker publishes its findings, likewise. */
PS_TAP_API int ps_tap_set_findings(struct ps_tap *tap, const char *endpoint);

/* CURVE keys for tcp: our own secret file and the server's public one (packetscope keygen). */
PS_TAP_API int ps_tap_set_keys(struct ps_tap *tap, const char *own_secret_file, const char *server_public_file);

/*
 * Topics, separated by commas: conn.new conn.update conn.end icmp drop stats rule finding snapshot, or "all". The three
 * of connections unless it is set; a table adds them.
 */
PS_TAP_API int ps_tap_set_topics(struct ps_tap *tap, const char *topics);

/*
 * Only records that fulfil every condition of the list, FIELD OP VALUE with OP one of = != < > <= >=:
 * "proto=tcp,dst_port=443", "src_ip=10.0.0.0/8", "orig_bytes>1000000". A record without the field does not. The table,
 * if there is one, holds all.
 */
PS_TAP_API int ps_tap_set_where(struct ps_tap *tap, const char *conditions);

/*
 * Keep a table of the live connections. ps_tap_next then gives each change of it once, in order: conn.new, conn.update,
 * conn.end, also those that come out of a snapshot. Whoever folds them has the table.
 */
PS_TAP_API void ps_tap_keep_table(struct ps_tap *tap, bool keep);

/* What was lost between two messages of a topic, or `restarted`: by the publisher's restart nobody knows what. */
struct ps_tap_gap {
	const char *source; /* "events", "state" or "findings" */
	const char *topic;
	uint64_t messages;
	uint64_t records;
	uint64_t seq; /* of the message that showed it: the last that is missing has one less */
	bool restarted;
};
typedef void (*ps_tap_gap_fn)(void *arg, const struct ps_tap_gap *gap);
PS_TAP_API void ps_tap_on_gap(struct ps_tap *tap, ps_tap_gap_fn fn, void *arg);

/* The table has caught up with the aggregator's: `rows` came with the snapshot, `gone` were not in it any more. */
typedef void (*ps_tap_resync_fn)(void *arg, uint64_t rows, uint64_t gone);
PS_TAP_API void ps_tap_on_resync(struct ps_tap *tap, ps_tap_resync_fn fn, void *arg);

/* --- listening --------------------------------------------------------------------------------------- */

/* Connects; it need not be there yet, and every connection is made again by itself. */
PS_TAP_API int ps_tap_connect(struct ps_tap *tap);

/*
 * The next record. Waits for up to timeout_ms (-1: as long as it takes; 0: not at all). 1 = *ret_record is one, 0 =
 * time is over, -EINTR = a signal came.
 */
PS_TAP_API int ps_tap_next(struct ps_tap *tap, int timeout_ms, const struct ps_tap_record **ret_record);

/*
 * A descriptor for poll(2), after ps_tap_connect: when it is readable, and once a second, call ps_tap_next with timeout
 * 0 until it returns 0.
 */
PS_TAP_API int ps_tap_fd(const struct ps_tap *tap);

/* Why the last call failed; never NULL. */
PS_TAP_API const char *ps_tap_error(const struct ps_tap *tap);

struct ps_tap_counters {
	uint64_t messages, records;           /* that came */
	uint64_t lost_messages, lost_records; /* on the way to us, by sequence number */
	uint64_t malformed;                   /* messages thrown away: against the format */
	uint64_t resyncs;
};
PS_TAP_API void ps_tap_counters(const struct ps_tap *tap, struct ps_tap_counters *ret_counters);

/* --- a record ------------------------------------------------------------------------------------------ */

PS_TAP_API const char *ps_tap_topic(const struct ps_tap_record *record);
/* When its message was sent, ns since 1970. */
PS_TAP_API uint64_t ps_tap_ts(const struct ps_tap_record *record);
/* "events", "state", "findings" or "snapshot". */
PS_TAP_API const char *ps_tap_source(const struct ps_tap_record *record);

/*
 * Fields by name, as in JSON (docs/stream.md). A field that the record does not have, or that is null, is 0, "" or
 * `fallback`. Times are ns since 1970, spans ns.
 */
PS_TAP_API uint64_t ps_tap_u64(const struct ps_tap_record *record, const char *field, uint64_t fallback);
PS_TAP_API double ps_tap_real(const struct ps_tap_record *record, const char *field, double fallback);
/* The field as text, as it stands in JSON without the quotes. Cut to `size`; returns buf. */
PS_TAP_API const char *ps_tap_text(const struct ps_tap_record *record, const char *field, char *buf, size_t size);

/*
 * One JSON object on one line: topic, ts, and the fields named in `fields` (separated by commas; NULL = every one). ""
 * on no memory.
 */
PS_TAP_API const char *ps_tap_json(struct ps_tap *tap, const struct ps_tap_record *record, const char *fields);
/* One line for people, without time and topic. "" on no memory. */
PS_TAP_API const char *ps_tap_line(struct ps_tap *tap, const struct ps_tap_record *record);

/* --- the table ------------------------------------------------------------------------------------------- */

/* Live connections that are known; 0 without a table. */
PS_TAP_API uint64_t ps_tap_live(const struct ps_tap *tap);
/* True from the first snapshot on, except while something is missing that the next one will bring. */
PS_TAP_API bool ps_tap_in_step(const struct ps_tap *tap);
/* One by its id (16 hex digits); NULL = not there. */
PS_TAP_API const struct ps_tap_record *ps_tap_find(struct ps_tap *tap, const char *id);
/* Walks them: *position 0 at first; NULL at the end. Nothing else may be called on the tap between but ps_tap_json. */
PS_TAP_API const struct ps_tap_record *ps_tap_walk(struct ps_tap *tap, size_t *position);

#ifdef __cplusplus
}
#endif
#endif
