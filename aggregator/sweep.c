#include "aggregator/sweep.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/limits.h"
#include "common/base/cleanup.h"
#include "common/base/pages.h"
#include "common/limits.h"

/* What is known of a slot without looking into its cold lines. */
struct seen {
	uint64_t last_seen;     /* of the connection as it was recorded; 0 = look at it */
	uint64_t untold : 1;    /* recorded by a refresh, not told to on_update yet */
	uint64_t heard : 1;     /* by ps_sweep_hear and not looked at since: last_seen is near */
	uint64_t state : 4;     /* as it was heard */
	uint64_t deadline : 58; /* boot time at which it expires if it stays silent, in units of 32 ns */
};

#define DEADLINE_NS 32

_Static_assert(PS_TCP_STATES <= 1 << 4, "a state has four bits");

struct dying {
	uint64_t id;
	uint64_t since;
	uint32_t slot;
};

struct ps_sweep {
	const struct ps_kernel_view *view;
	struct ps_conn_table *table;
	struct seen *seen; /* one a slot */
	size_t seen_bytes; /* in huge pages; 0 = it is small, and calloc's: untouched pages cost nothing */
	struct dying *dying;
	size_t n_dying, cap_dying;
};

int ps_sweep_new(const struct ps_kernel_view *view, struct ps_conn_table *table, struct ps_sweep **ret_sweep)
{
	_cleanup_(ps_sweep_free) struct ps_sweep *s = calloc(1, sizeof(*s));
	size_t bytes = ps_kernel_slots(view) * sizeof(struct seen);

	if (!s)
		return -ENOMEM;
	if (bytes >= PS_PAGES_HUGE)
		s->seen_bytes = (bytes + PS_PAGES_HUGE - 1) / PS_PAGES_HUGE * PS_PAGES_HUGE;
	s->seen = s->seen_bytes ? ps_pages_new(s->seen_bytes) : calloc(1, bytes);
	if (!s->seen)
		return -ENOMEM;
	s->view = view;
	s->table = table;
	*ret_sweep = PS_TAKE(s);
	return 0;
}

void ps_sweep_free(struct ps_sweep **sweep)
{
	struct ps_sweep *s = *sweep;

	if (!s)
		return;
	if (s->seen_bytes)
		ps_pages_free(s->seen, s->seen_bytes);
	else
		free(s->seen);
	free(s->dying);
	free(s);
	*sweep = NULL;
}

/* Where the kernel part has put the connection with this id. */
static struct seen *seen_of(const struct ps_sweep *s, uint64_t id)
{
	return &s->seen[(id - s->view->meta.id_base - 1) % ps_kernel_slots(s->view)];
}

void ps_sweep_prefetch(const struct ps_sweep *s, uint64_t id)
{
	__builtin_prefetch(seen_of(s, id), 1);
}

void ps_sweep_hear(struct ps_sweep *s, const struct ps_conn *c, int64_t wall_offset)
{
	struct seen *seen = seen_of(s, c->id);

	if (c->orig_packets + c->resp_packets != 1)
		return;
	seen->last_seen = c->last_seen - (uint64_t)wall_offset;
	seen->heard = true;
	seen->state = c->proto == IPPROTO_TCP ? c->state : PS_TCP_NONE;
}

static uint8_t tag_of(uint64_t word, uint32_t i)
{
	return (uint8_t)(word >> (8 * i));
}

/* Changes the tag byte of one slot, whatever the others of its word do meanwhile. False: it is not `from` (any more).
 */
static bool tag_exchange(struct ps_bucket_tags *b, uint32_t i, uint8_t from, uint8_t to)
{
	uint64_t word = __atomic_load_n(&b->tags, __ATOMIC_ACQUIRE);

	for (int try = 0; try < PS_SWEEP_CAS_TRIES; try++) {
		uint64_t want = (word & ~(0xffull << (8 * i))) | (uint64_t)to << (8 * i);

		if (tag_of(word, i) != from)
			return false;
		if (__atomic_compare_exchange_n(
			    &b->tags, (__u64 *)&word, want, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			return true;
	}
	return false;
}

static void confirmed_set(struct ps_bucket_tags *b, uint32_t i, bool on)
{
	uint64_t bit = 1ull << (8 * i);

	if (on)
		(void)__atomic_or_fetch(&b->confirmed, bit, __ATOMIC_ACQ_REL);
	else
		(void)__atomic_and_fetch(&b->confirmed, ~bit, __ATOMIC_ACQ_REL);
}

static uint64_t last_seen_of(const struct ps_sweep *s, uint32_t slot)
{
	return __atomic_load_n(&s->view->hot[slot].last_seen, __ATOMIC_RELAXED);
}

static uint64_t id_of(const struct ps_sweep *s, uint32_t slot)
{
	return __atomic_load_n(&s->view->cold[slot].id, __ATOMIC_RELAXED);
}

/* TCP's state; PS_TCP_NONE for everything else. */
static uint8_t state_of(const struct ps_sweep *s, uint32_t slot)
{
	if (s->view->hot[slot].proto != IPPROTO_TCP)
		return PS_TCP_NONE;
	return __atomic_load_n(&s->view->tcp[slot].state, __ATOMIC_RELAXED);
}

/* Does somebody own the slot's record, that is not just being written? */
static bool is_settled(const struct ps_sweep *s, uint32_t slot)
{
	uint8_t tag = tag_of(
		__atomic_load_n(&s->view->tags[slot / PS_BUCKET_SLOTS].tags, __ATOMIC_ACQUIRE), slot % PS_BUCKET_SLOTS);

	return tag & PS_TAG_LIVE || tag == PS_TAG_DYING;
}

/*
 * The connection of a slot as a record. False: the slot changed hands while it was read. The kernel part writes a
 * record, its id too, in any order, but only between BUSY and live, and both steps are ordered. So if no piece of the
 * record is read but between two looks at the tag, and all of that between two looks at the id, it is of one
 * connection: with the new id seen first, a tag that is not BUSY is one that was made live since; with the old one seen
 * last, it was not yet BUSY.
 */
static bool gather(const struct ps_sweep *s, const struct ps_record_env *env, uint32_t slot, uint8_t reason,
	struct ps_conn *ret_conn)
{
	const struct ps_kernel_view *v = s->view;
	uint64_t id = id_of(s, slot);
	struct ps_conn_raw raw;

	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (!id || !is_settled(s, slot))
		return false;
	ps_conn_raw_gather(
		&v->hot[slot], &v->cold[slot], v->hot[slot].proto == IPPROTO_TCP ? &v->tcp[slot] : NULL, slot, &raw);
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (!is_settled(s, slot) || id_of(s, slot) != id || raw.id != id)
		return false;
	raw.end_reason = reason;
	ps_conn_from_raw(&raw, env, ret_conn);
	return true;
}

static int dying_add(struct ps_sweep *s, uint32_t slot, uint64_t id, uint64_t now)
{
	if (s->n_dying == s->cap_dying) {
		size_t cap = s->cap_dying ? s->cap_dying * 2 : 64;
		struct dying *dying = realloc(s->dying, cap * sizeof(*dying));

		if (!dying)
			return -ENOMEM;
		s->dying = dying;
		s->cap_dying = cap;
	}
	s->dying[s->n_dying++] = (struct dying){.id = id, .since = now, .slot = slot};
	return 0;
}

/* Step 3: ends what has been hidden for long enough. */
static void finish_dying(struct ps_sweep *s, const struct ps_sweep_run *run, struct ps_sweep_result *res)
{
	size_t kept = 0;

	for (size_t k = 0; k < s->n_dying; k++) {
		const struct dying d = s->dying[k];
		struct ps_bucket_tags *b = &s->view->tags[d.slot / PS_BUCKET_SLOTS];
		uint32_t i = d.slot % PS_BUCKET_SLOTS;
		struct ps_conn conn;

		if (d.since + PS_EXPIRY_GRACE_NS > run->now) {
			s->dying[kept++] = d;
			continue;
		}
		s->seen[d.slot] = (struct seen){0};
		if (id_of(s, d.slot) == d.id) {
			uint8_t reason = ps_expiry_reason(s->view->hot[d.slot].proto, state_of(s, d.slot));

			if (gather(s, run->env, d.slot, reason, &conn)) {
				(void)ps_conn_table_apply(s->table, &conn, true, run->now);
				if (run->on_end)
					run->on_end(run->arg, &conn);
				res->ended++;
			}
		}
		confirmed_set(b, i, false);
		(void)tag_exchange(b, i, PS_TAG_DYING, PS_TAG_EMPTY);
	}
	s->n_dying = kept;
}

/* Steps 1 and 2. */
static int expire(struct ps_sweep *s, const struct ps_sweep_run *run, uint32_t slot, uint8_t tag)
{
	struct ps_bucket_tags *b = &s->view->tags[slot / PS_BUCKET_SLOTS];
	uint32_t i = slot % PS_BUCKET_SLOTS;
	uint64_t id = id_of(s, slot), last_seen = s->seen[slot].last_seen;
	int r;

	/* Remembered first: a slot that is hidden and forgotten would be lost until the next start. */
	r = dying_add(s, slot, id, run->now);
	if (r < 0)
		return r;
	if (!tag_exchange(b, i, tag, PS_TAG_DYING)) {
		s->n_dying--;
		s->seen[slot].last_seen = 0;
		return 0;
	}
	if (id_of(s, slot) == id && last_seen_of(s, slot) == last_seen)
		return 0;
	(void)tag_exchange(b, i, PS_TAG_DYING, tag);
	s->n_dying--;
	s->seen[slot].last_seen = 0;
	return 0;
}

/* Records a connection that moved, or that was never looked at. */
static void record(struct ps_sweep *s, const struct ps_sweep_run *run, uint32_t slot, uint64_t last_seen,
	struct ps_sweep_result *res)
{
	const struct ps_conn_hot *hot = &s->view->hot[slot];
	struct seen *seen = &s->seen[slot];
	uint8_t flags, proto, state;
	struct ps_conn conn;
	bool untold = seen->untold;
	int change;

	if (!gather(s, run->env, slot, PS_END_NONE, &conn))
		return;
	proto = hot->proto;
	flags = __atomic_load_n(&hot->flags, __ATOMIC_RELAXED);
	state = state_of(s, slot);
	change = ps_conn_table_apply(s->table, &conn, false, run->now);
	if (change > PS_CHANGE_NONE) {
		res->updated++;
		untold = true;
	}
	if (change < 0) {
		untold = true; /* no room for it in our table: try again with the next whole run */
	} else if (untold && !run->refresh_only) {
		if (run->on_update)
			run->on_update(run->arg, &conn);
		untold = false;
	}
	seen->untold = untold;
	seen->heard = false;
	seen->deadline = (last_seen + ps_expiry_timeout(run->timeouts, proto, flags, state)) / DEADLINE_NS;
	/* Look again soon: the lines may have been written one after the other while we read. */
	seen->last_seen = last_seen + PS_SETTLE_NS > run->now ? 0 : last_seen;
}

/* The bit must say what the flags say. Not of a connection that is just now being confirmed. */
static void repair_confirmed(const struct ps_sweep *s, uint32_t slot, uint64_t now, uint64_t last_seen)
{
	struct ps_bucket_tags *b = &s->view->tags[slot / PS_BUCKET_SLOTS];
	uint32_t i = slot % PS_BUCKET_SLOTS;
	uint8_t flags = __atomic_load_n(&s->view->hot[slot].flags, __ATOMIC_RELAXED);
	bool should = (flags & PS_CONN_CONFIRMED) && !(flags & PS_CONN_CLOSED);
	bool is = __atomic_load_n(&b->confirmed, __ATOMIC_RELAXED) >> (8 * i) & 1;

	if (should != is && last_seen + PS_SWEEP_NS <= now)
		confirmed_set(b, i, should);
}

/*
 * Is it what the stream has told, one packet and none since? Then nothing needs to be read but the hot line. Once it
 * has settled it is like one that was recorded.
 */
static bool is_as_heard(const struct ps_sweep *s, const struct ps_sweep_run *run, uint32_t slot, uint64_t last_seen)
{
	const struct ps_conn_hot *hot = &s->view->hot[slot];
	struct seen *seen = &s->seen[slot];
	uint64_t packets[2] = {__atomic_load_n(&hot->packets[0], __ATOMIC_RELAXED),
		__atomic_load_n(&hot->packets[1], __ATOMIC_RELAXED)};
	uint8_t flags = __atomic_load_n(&hot->flags, __ATOMIC_RELAXED);

	if (packets[0] + packets[1] != 1 || last_seen - seen->last_seen + PS_HEARD_NS >= 2 * PS_HEARD_NS)
		return false;
	if (last_seen + PS_SETTLE_NS > run->now)
		return true;
	seen->heard = false;
	seen->last_seen = last_seen;
	seen->deadline = (last_seen + ps_expiry_timeout(run->timeouts, hot->proto, flags, seen->state)) / DEADLINE_NS;
	return true;
}

/* Has it moved since it was recorded? */
static bool is_news(const struct ps_sweep *s, const struct ps_sweep_run *run, uint32_t slot, uint64_t last_seen)
{
	const struct seen *seen = &s->seen[slot];

	if (run->look_at_all || (seen->untold && !run->refresh_only))
		return true;
	if (seen->heard)
		return !is_as_heard(s, run, slot, last_seen);
	return seen->last_seen != last_seen || seen->last_seen == 0;
}

/* Its time is up, and so it is by the state that it is in. */
static bool is_due(const struct ps_sweep *s, const struct ps_sweep_run *run, uint32_t slot, uint64_t last_seen)
{
	const struct ps_conn_hot *hot = &s->view->hot[slot];
	struct seen *seen = &s->seen[slot];
	uint64_t due;

	if (seen->heard || seen->last_seen != last_seen || last_seen == 0 || seen->deadline * DEADLINE_NS > run->now)
		return false;
	due = last_seen + ps_expiry_timeout(run->timeouts, hot->proto, __atomic_load_n(&hot->flags, __ATOMIC_RELAXED),
				  state_of(s, slot));
	seen->deadline = due / DEADLINE_NS;
	return due <= run->now;
}

static int visit_live(
	struct ps_sweep *s, const struct ps_sweep_run *run, uint32_t slot, uint8_t tag, struct ps_sweep_result *res)
{
	uint64_t last_seen = last_seen_of(s, slot);
	uint8_t flags = __atomic_load_n(&s->view->hot[slot].flags, __ATOMIC_RELAXED);

	res->used++;
	if (!(flags & PS_CONN_CONFIRMED))
		res->half_open++;
	if (is_news(s, run, slot, last_seen))
		record(s, run, slot, last_seen, res);
	if (run->refresh_only)
		return 0;
	repair_confirmed(s, slot, run->now, last_seen);
	return is_due(s, run, slot, last_seen) ? expire(s, run, slot, tag) : 0;
}

static int visit_bucket(
	struct ps_sweep *s, const struct ps_sweep_run *run, uint32_t bucket, bool adopt, struct ps_sweep_result *res)
{
	struct ps_bucket_tags *b = &s->view->tags[bucket];
	uint64_t word = __atomic_load_n(&b->tags, __ATOMIC_ACQUIRE);
	uint64_t confirmed = __atomic_load_n(&b->confirmed, __ATOMIC_RELAXED);
	int r = 0;

	if (!word && !confirmed)
		return 0;
	res->confirmed += (uint32_t)__builtin_popcountll(confirmed);
	for (uint32_t i = 0; i < PS_BUCKET_SLOTS; i++) {
		uint32_t slot = bucket * PS_BUCKET_SLOTS + i;
		uint8_t tag = tag_of(word, i);
		int rr = 0;

		if (tag & PS_TAG_LIVE)
			rr = visit_live(s, run, slot, tag, res);
		else if (tag == PS_TAG_DYING && adopt && !run->refresh_only)
			rr = dying_add(s, slot, id_of(s, slot), run->now);
		else if (tag == PS_TAG_EMPTY && confirmed >> (8 * i) & 1 && !run->refresh_only)
			confirmed_set(b, i, false);
		if (rr < 0)
			r = rr;
	}
	return r;
}

int ps_sweep_run(struct ps_sweep *s, const struct ps_sweep_run *run, struct ps_sweep_result *ret_result)
{
	struct ps_sweep_result res = {0};
	/* With none of our own hidden before this run, a slot that is met dying can only be a predecessor's. */
	bool adopt;
	struct {
		uint32_t bucket, used, updated;
	} breath = {0}; /* how far it was at the last one */
	int r = 0;

	if (!run->refresh_only)
		finish_dying(s, run, &res);
	adopt = s->n_dying == 0;
	for (uint32_t bucket = 0; bucket < s->view->meta.buckets; bucket++) {
		int rr = visit_bucket(s, run, bucket, adopt, &res);

		if (rr < 0)
			r = rr;
		if (run->breathe &&
			(bucket - breath.bucket >= PS_BREATH_BUCKETS || res.used - breath.used >= PS_BREATH_SLOTS ||
				res.updated - breath.updated >= PS_BREATH_RECORDS)) {
			breath.bucket = bucket;
			breath.used = res.used;
			breath.updated = res.updated;
			run->breathe(run->arg);
		}
	}
	res.dying = (uint32_t)s->n_dying;
	*ret_result = res;
	return r;
}
