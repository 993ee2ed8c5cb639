/* A tap's table catches up with the aggregator's: see tap.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/tap.h"
#include "common/base/cleanup.h"

static void enter(struct ps_tap *tap, enum ps_sync_phase phase, uint64_t now)
{
	tap->phase = phase;
	tap->since = now;
}

/* --- what is put aside --------------------------------------------------------------------------------- */

bool ps_tap_puts_aside(const struct ps_tap *tap)
{
	return tap->phase == SYNC_ASK || tap->phase == SYNC_PAGE;
}

bool ps_tap_put_aside(struct ps_tap *tap, int source, struct ps_message *m)
{
	if (tap->n_aside == tap->cap_aside) {
		size_t cap = tap->cap_aside ? 2 * tap->cap_aside : 64;
		struct ps_tap_aside *aside = reallocarray(tap->aside, cap, sizeof(*aside));

		if (!aside) {
			ps_message_free(m);
			return false;
		}
		tap->aside = aside;
		tap->cap_aside = cap;
	}
	tap->aside_bytes += m->payload_len;
	tap->aside[tap->n_aside++] = (struct ps_tap_aside){.source = source, .m = *m};
	return true;
}

bool ps_tap_take_aside(struct ps_tap *tap, int *ret_source, struct ps_message *ret_m)
{
	struct ps_tap_aside *a;

	if (ps_tap_puts_aside(tap) || tap->next_aside == tap->n_aside) {
		if (!ps_tap_puts_aside(tap))
			ps_tap_drop_aside(tap);
		return false;
	}
	a = &tap->aside[tap->next_aside++];
	*ret_source = a->source;
	*ret_m = a->m;
	tap->aside_bytes -= a->m.payload_len;
	return true;
}

void ps_tap_drop_aside(struct ps_tap *tap)
{
	while (tap->next_aside < tap->n_aside)
		ps_message_free(&tap->aside[tap->next_aside++].m);
	tap->n_aside = tap->next_aside = tap->aside_bytes = tap->late = 0;
}

/* --- asking --------------------------------------------------------------------------------------------- */

/* Every topic of the table was heard from both publishers, so both have our subscriptions. */
static bool has_joined(const struct ps_tap *tap)
{
	for (int t = 0; t < PS_TOPICS; t++) {
		if (!(PS_TAP_TABLE_TOPICS >> t & 1))
			continue;
		if (!tap->source[SOURCE_EVENTS].seq[t])
			return false;
		/* conn.new is the collector's alone */
		if (t != PS_TOPIC_CONN_NEW && !tap->source[SOURCE_STATE].seq[t])
			return false;
	}
	return true;
}

static void give_up(struct ps_tap *tap, uint64_t now)
{
	tap->stale = true;
	tap->not_until = now + PS_TAP_AGAIN_NS;
	enter(tap, SYNC_IDLE, now);
}

static void ask(struct ps_tap *tap, uint64_t now)
{
	_cleanup_(ps_value_free) struct ps_value *args = ps_value_map();
	int r = args ? 0 : -ENOMEM;

	if (r == 0 && tap->cursor[0])
		r = ps_value_set(args, "cursor", ps_value_string(tap->cursor));
	if (r == 0)
		r = ps_requester_send(
			tap->query, "snapshot", "tap", args, (int)(PS_TAP_ANSWER_NS / 1000000), &tap->request);
	if (r < 0)
		give_up(tap, now); /* nobody is there yet */
	else
		enter(tap, tap->cursor[0] ? SYNC_PAGE : SYNC_ASK, now);
}

static void begin(struct ps_tap *tap, uint64_t now)
{
	tap->stale = false;
	tap->cursor[0] = '\0';
	tap->rows = 0;
	ps_conn_table_mark(tap->table);
	ask(tap, now);
}

/* --- pages ------------------------------------------------------------------------------------------------ */

static void read_valid(struct ps_tap_source *source, const struct ps_value *seq)
{
	source->valid_epoch = ps_value_get_uint(seq, "epoch", 0);
	for (int t = 0; t < PS_TOPICS; t++)
		source->valid_seq[t] = ps_value_get_uint(seq, ps_topic_name((enum ps_topic)t), 0);
}

/* Has the aggregator not yet applied all that is in our table? What was put aside comes after the snapshot. */
static bool is_behind(const struct ps_tap *tap)
{
	const struct ps_tap_source *events = &tap->source[SOURCE_EVENTS];
	uint64_t seq[PS_TOPICS], epoch = events->epoch;

	memcpy(seq, events->seq, sizeof(seq));
	for (size_t i = tap->n_aside; i-- > tap->next_aside;) {
		const struct ps_message *m = &tap->aside[i].m;

		/* Back to what had been heard before the first one that was put aside. */
		if (tap->aside[i].source == SOURCE_EVENTS && m->epoch == epoch)
			seq[m->topic] = m->seq - 1 - m->missed;
		else if (tap->aside[i].source == SOURCE_EVENTS)
			return false; /* the collector was restarted since: another snapshot is due anyway */
	}
	if (!epoch)
		return false;
	if (events->valid_epoch != epoch)
		return true;
	for (int t = 0; t < PS_TOPICS; t++) {
		if ((PS_TAP_TABLE_TOPICS >> t & 1) && events->valid_seq[t] < seq[t])
			return true;
	}
	return false;
}

/* 0 = its rows are to be read, -EAGAIN = ask again in a moment, else it is of no use. */
static int read_page(struct ps_tap *tap, const struct ps_reply *reply)
{
	const struct ps_value *seq = ps_value_get(reply->body, "seq"), *next = ps_value_get(reply->body, "next");

	if (reply->status != 200 || !reply->payload || ps_value_string_len(next) >= sizeof(tap->cursor))
		return -EBADMSG;
	if (!tap->cursor[0]) {
		if (ps_value_kind(seq) != PS_VALUE_MAP)
			return -EBADMSG;
		read_valid(&tap->source[SOURCE_EVENTS], ps_value_get(seq, "events"));
		read_valid(&tap->source[SOURCE_STATE], ps_value_get(seq, "state"));
		if (is_behind(tap))
			return -EAGAIN;
	}
	memcpy(tap->cursor, ps_value_as_string(next, ""), ps_value_string_len(next) + 1);
	return 0;
}

static void ask_again_soon(struct ps_tap *tap, uint64_t now)
{
	if (!tap->behind_since)
		tap->behind_since = now;
	if (now - tap->behind_since > PS_TAP_BEHIND_MAX_NS) {
		tap->behind_since = 0;
		give_up(tap, now);
		return;
	}
	tap->request = 0;
	tap->not_until = now + PS_TAP_BEHIND_NS;
}

/* Takes a page that has come. True: its rows are being read. */
static bool take_page(struct ps_tap *tap, uint64_t now)
{
	struct ps_reply reply;

	while (ps_requester_next(tap->query, &reply) == 1) {
		int r;

		if (reply.id != tap->request || !ps_tap_puts_aside(tap)) {
			ps_reply_free(&reply);
			continue;
		}
		r = read_page(tap, &reply);
		if (r < 0) {
			ps_reply_free(&reply);
			if (r == -EAGAIN)
				ask_again_soon(tap, now);
			else
				give_up(tap, now);
			return false;
		}
		tap->behind_since = 0;
		/* The next page is on its way while this one is read. */
		if (tap->cursor[0])
			ask(tap, now);
		else
			enter(tap, SYNC_LATE, now);
		tap->page = reply;
		ps_tap_begin(tap, SOURCES, PS_RECORD_CONN, ps_value_get(tap->page.body, "fields"), tap->page.payload,
			tap->page.payload_len);
		if (tap->reading != READING_BATCH) {
			give_up(tap, now);
			return false;
		}
		tap->rows += tap->reader.left;
		if (tap->phase == SYNC_LATE) {
			tap->synced = true;
			tap->late = tap->n_aside;
		}
		return true;
	}
	return false;
}

/* --- the end ---------------------------------------------------------------------------------------------- */

static void note_gone(void *arg, const struct ps_conn *c)
{
	struct ps_tap *tap = arg;

	if (tap->n_gone == tap->cap_gone) {
		size_t cap = tap->cap_gone ? 2 * tap->cap_gone : 64;
		struct ps_conn *gone = reallocarray(tap->gone, cap, sizeof(*gone));

		if (!gone)
			return;
		tap->gone = gone;
		tap->cap_gone = cap;
	}
	tap->gone[tap->n_gone++] = *c;
}

static void finish(struct ps_tap *tap, uint64_t now)
{
	uint64_t gone = ps_conn_table_forget_unseen(tap->table, note_gone, tap);

	enter(tap, SYNC_IDLE, now);
	tap->counters.resyncs++;
	if (tap->n_gone)
		tap->reading = READING_GONE;
	if (tap->on_resync)
		tap->on_resync(tap->on_resync_arg, tap->rows, gone);
}

static void due_in(uint64_t *ret_due, uint64_t when, uint64_t now)
{
	*ret_due = PS_MIN(*ret_due, when > now ? when - now : 0);
}

bool ps_tap_sync(struct ps_tap *tap, uint64_t now, uint64_t *ret_due)
{
	if (ps_tap_puts_aside(tap) && tap->request && take_page(tap, now))
		return true;
	if (tap->phase == SYNC_LATE && tap->next_aside >= tap->late) {
		finish(tap, now);
		return true;
	}
	if (tap->phase == SYNC_IDLE && tap->stale && now >= tap->not_until)
		enter(tap, SYNC_JOIN, now);
	if (tap->phase == SYNC_JOIN && (has_joined(tap) || now - tap->since >= PS_TAP_JOIN_NS))
		begin(tap, now);
	if (tap->phase == SYNC_ASK && !tap->request && now >= tap->not_until)
		ask(tap, now);
	if (ps_tap_puts_aside(tap) && tap->request && now - tap->since >= PS_TAP_ANSWER_NS)
		give_up(tap, now);

	if (tap->phase == SYNC_JOIN)
		due_in(ret_due, tap->since + PS_TAP_JOIN_NS, now);
	else if (tap->phase == SYNC_IDLE && tap->stale)
		due_in(ret_due, tap->not_until, now);
	else if (ps_tap_puts_aside(tap))
		due_in(ret_due, tap->request ? tap->since + PS_TAP_ANSWER_NS : tap->not_until, now);
	return false;
}
