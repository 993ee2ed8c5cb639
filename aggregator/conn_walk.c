#include "aggregator/conn_walk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"

/* A first page whose walk has not gone on yet. */
struct first {
	struct first *next; /* a younger one */
	uint64_t walk;
	uint64_t at;            /* boot time, ns */
	struct ps_conn skipped; /* the last row, if rows were left out before the page; id 0 = none were */
	size_t n;
	uint64_t id[];
};

/* Both so that the smaller one comes first. */
struct place {
	uint64_t key, id;
};

/*
 * A heap that is sorted as far as somebody has walked: place[0 … heap) is a heap with the first of those that are left
 * at its root, place[heap … n) what was taken from it, the first at the end.
 */
struct list {
	struct list *next;
	uint64_t walk;
	uint64_t used; /* boot time, ns */
	size_t total;  /* rows that matched when it was made, the first page's too */
	size_t n, heap, room;
	struct place place[];
};

struct ps_conn_walks {
	uint64_t last; /* walk */
	struct first *oldest, **youngest;
	struct list *lists;
	size_t n_lists;
	size_t first_bytes, list_bytes;
	uint64_t refused;
};

int ps_conn_walks_new(uint64_t seed, struct ps_conn_walks **ret_walks)
{
	struct ps_conn_walks *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->last = seed;
	w->youngest = &w->oldest;
	*ret_walks = w;
	return 0;
}

/* --- what is kept ----------------------------------------------------------------------------------- */

static size_t first_size(size_t n)
{
	return sizeof(struct first) + n * sizeof(uint64_t);
}

static size_t list_size(size_t room)
{
	return sizeof(struct list) + room * sizeof(struct place);
}

static void first_remove(struct ps_conn_walks *w, struct first **at)
{
	struct first *f = *at;

	*at = f->next;
	if (!f->next)
		w->youngest = at;
	w->first_bytes -= first_size(f->n);
	free(f);
}

static void list_remove(struct ps_conn_walks *w, struct list **at)
{
	struct list *l = *at;

	*at = l->next;
	w->n_lists--;
	w->list_bytes -= list_size(l->room);
	free(l);
}

void ps_conn_walks_forget(struct ps_conn_walks *w, uint64_t now)
{
	while (w->oldest && w->oldest->at + PS_WALK_NS <= now)
		first_remove(w, &w->oldest);
	for (struct list **at = &w->lists; *at;) {
		if ((*at)->used + PS_WALK_NS <= now)
			list_remove(w, at);
		else
			at = &(*at)->next;
	}
}

void ps_conn_walks_free(struct ps_conn_walks **walks)
{
	if (!*walks)
		return;
	ps_conn_walks_forget(*walks, UINT64_MAX);
	free(*walks);
	*walks = NULL;
}

void ps_conn_walks_totals(const struct ps_conn_walks *w, struct ps_conn_walks_totals *ret_totals)
{
	*ret_totals = (struct ps_conn_walks_totals){
		.lists = w->n_lists, .bytes = w->first_bytes + w->list_bytes, .refused = w->refused};
}

static struct first **first_find(struct ps_conn_walks *w, uint64_t walk)
{
	struct first **at = &w->oldest;

	while (*at && (*at)->walk != walk)
		at = &(*at)->next;
	return at;
}

static struct list *list_find(struct ps_conn_walks *w, uint64_t walk)
{
	struct list *l = w->lists;

	while (l && l->walk != walk)
		l = l->next;
	return l;
}

/* Room for a list: those that nobody has asked for the longest time go. False: all are walked through just now. */
static bool make_room(struct ps_conn_walks *w, size_t size, uint64_t now)
{
	while (w->lists && (w->n_lists >= PS_WALK_LISTS || w->list_bytes + size > PS_WALK_LIST_BYTES)) {
		struct list **idle = &w->lists;

		for (struct list **at = &w->lists; *at; at = &(*at)->next) {
			if ((*at)->used < (*idle)->used)
				idle = at;
		}
		if ((*idle)->used + PS_WALK_BUSY_NS > now)
			return false;
		list_remove(w, idle);
	}
	return size <= PS_WALK_LIST_BYTES;
}

/* --- the heap --------------------------------------------------------------------------------------- */

static bool before(const struct place *a, const struct place *b)
{
	return a->key != b->key ? a->key < b->key : a->id < b->id;
}

static void sink(struct place *p, size_t n, size_t at)
{
	const struct place sinking = p[at];

	for (;;) {
		size_t child = 2 * at + 1;

		if (child >= n)
			break;
		if (child + 1 < n && before(&p[child + 1], &p[child]))
			child++;
		if (!before(&p[child], &sinking))
			break;
		p[at] = p[child];
		at = child;
	}
	p[at] = sinking;
}

/* The id of the k-th entry, in order. */
static uint64_t entry_at(struct list *l, size_t k)
{
	while (l->n - l->heap <= k) {
		const struct place first = l->place[0];

		l->place[0] = l->place[--l->heap];
		sink(l->place, l->heap, 0);
		l->place[l->heap] = first;
	}
	return l->place[l->n - 1 - k].id;
}

/* --- making a list ---------------------------------------------------------------------------------- */

/* The ids of the first page, most strangers told by a bit. */
#define BITS 16
struct known {
	uint64_t bit[(1u << BITS) / 64];
	const struct first *first; /* ids sorted */
};

static int by_number(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static unsigned bit_of(uint64_t id)
{
	return (unsigned)(id * 0x9e3779b97f4a7c15ull >> (64 - BITS));
}

static void known_make(struct known *k, struct first *f)
{
	memset(k->bit, 0, sizeof(k->bit));
	k->first = f;
	for (size_t i = 0; i < f->n; i++)
		k->bit[bit_of(f->id[i]) / 64] |= 1ull << bit_of(f->id[i]) % 64;
	qsort(f->id, f->n, sizeof(f->id[0]), by_number);
}

static bool known_has(const struct known *k, uint64_t id)
{
	return (k->bit[bit_of(id) / 64] >> bit_of(id) % 64 & 1) &&
	       bsearch(&id, k->first->id, k->first->n, sizeof(id), by_number);
}

/* While texts are sorted, whose keys say only how they begin, the place has the record and not its id. */
static const struct ps_conn *record_of(const struct place *p)
{
	return (const struct ps_conn *)(uintptr_t)p->id;
}

static int by_text(const void *a, const void *b, void *order)
{
	const struct place *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return ps_conn_order_compare(order, record_of(x), record_of(y));
}

/* Sorts them all; the place in the order is the key then. */
static void sort_texts(struct list *l, const struct ps_conn_query *q, const struct ps_conn_table *table, uint64_t flip)
{
	for (size_t i = 0; i < l->n; i++)
		l->place[i].id = (uintptr_t)ps_conn_table_find(table, l->place[i].id ^ flip, NULL);
	qsort_r(l->place, l->n, sizeof(l->place[0]), by_text, (void *)(uintptr_t)&q->order);
	for (size_t i = 0; i < l->n; i++)
		l->place[i] = (struct place){.key = i, .id = record_of(&l->place[i])->id ^ flip};
}

static void fill(
	struct list *l, const struct ps_conn_query *q, const struct ps_conn_table *table, const struct known *known)
{
	const struct first *f = known->first;
	uint64_t flip = q->order.descending ? UINT64_MAX : 0;
	const struct ps_conn *c;
	size_t position = 0;
	bool ended, keys_tell = true;

	while (l->n < l->room && (c = ps_conn_table_next(table, &position, &ended))) {
		struct place *p = &l->place[l->n];

		if ((ended && !q->ended) || !ps_conn_query_matches(q, c))
			continue;
		l->total++;
		if (known_has(known, c->id) || (f->skipped.id && ps_conn_order_compare(&q->order, c, &f->skipped) < 0))
			continue;
		keys_tell &= ps_conn_order_key(&q->order, c, &p->key);
		p->id = c->id ^ flip;
		l->n++;
	}
	if (!keys_tell)
		sort_texts(l, q, table, flip);
	l->heap = l->n;
	for (size_t i = l->n / 2; i-- > 0;)
		sink(l->place, l->n, i);
}

static int gone(struct ps_conn_walks *w, struct ps_error *err)
{
	w->refused++;
	return ps_error_set(err, -ESTALE, 410, "gone", "cursor",
		"The list that this cursor goes on with is not kept any more (it is for %llu s after each page): begin "
		"anew without a cursor, or take all of them at once as a file (?format=ndjson)",
		PS_WALK_NS / 1000000000ull);
}

static int list_make(struct ps_conn_walks *w, const struct ps_conn_query *q, const struct ps_conn_table *table,
	uint64_t now, struct list **ret_list, struct ps_error *err)
{
	struct first **first = first_find(w, q->walk.list);
	_cleanup_free_ struct known *known = malloc(sizeof(*known));
	struct ps_conn_totals totals;
	struct list *l;
	size_t room;

	if (!*first)
		return gone(w, err);
	ps_conn_table_totals(table, &totals);
	room = totals.live + (q->ended ? totals.ended : 0);
	if (!make_room(w, list_size(room), now)) {
		w->refused++;
		return ps_error_set(err, -EBUSY, 503, "busy", "cursor",
			"Too many long lists are being read page by page: try again in some seconds, ask for less by "
			"filters, or take all of them at once as a file (?format=ndjson)");
	}
	l = malloc(list_size(room));
	if (!known || !l) {
		free(l);
		return -ENOMEM;
	}
	known_make(known, *first);
	*l = (struct list){.next = w->lists, .walk = q->walk.list, .room = room};
	fill(l, q, table, known);
	w->lists = l;
	w->n_lists++;
	w->list_bytes += list_size(room);
	first_remove(w, first);
	*ret_list = l;
	return 0;
}

/* --- pages ------------------------------------------------------------------------------------------ */

static int first_page(struct ps_conn_walks *w, const struct ps_conn_query *q, const struct ps_conn_table *table,
	uint64_t now, struct ps_conn_page *page)
{
	int r = ps_conn_page_read(q, table, page);
	struct first *f;

	if (r < 0 || !page->more || ps_conn_order_is_fixed(&q->order))
		return r;
	while (w->oldest && w->first_bytes + first_size(page->n) > PS_WALK_FIRST_BYTES)
		first_remove(w, &w->oldest);
	f = malloc(first_size(page->n));
	if (!f)
		return -ENOMEM;
	*f = (struct first){.walk = ++w->last, .at = now, .n = page->n};
	if (q->offset)
		f->skipped = *page->row[page->n - 1];
	for (size_t i = 0; i < page->n; i++)
		f->id[i] = page->row[i]->id;
	*w->youngest = f;
	w->youngest = &f->next;
	w->first_bytes += first_size(f->n);
	ps_conn_query_walk_cursor(q, f->walk, 0, page->next);
	return 0;
}

int ps_conn_walks_page(struct ps_conn_walks *w, const struct ps_conn_query *q, const struct ps_conn_table *table,
	uint64_t now, struct ps_conn_page *ret_page, struct ps_error *err)
{
	uint64_t flip = q->order.descending ? UINT64_MAX : 0;
	struct list *l;
	size_t at;
	int r;

	ps_conn_walks_forget(w, now);
	if (!q->has_cursor || ps_conn_order_is_fixed(&q->order))
		return first_page(w, q, table, now, ret_page);
	l = list_find(w, q->walk.list);
	r = l ? 0 : list_make(w, q, table, now, &l, err);
	if (r < 0)
		return r;
	l->used = now;
	ret_page->n = 0;
	ret_page->total = l->total;
	ret_page->next[0] = '\0';
	at = PS_MIN(q->walk.at, (uint64_t)l->n);
	at += PS_MIN(q->offset, l->n - at);
	for (; at < l->n && ret_page->n < q->limit; at++) {
		bool ended = false;
		const struct ps_conn *c = ps_conn_table_find(table, entry_at(l, at) ^ flip, &ended);

		if (c && (q->ended || !ended) && ps_conn_query_matches(q, c))
			ret_page->row[ret_page->n++] = c;
	}
	ret_page->more = at < l->n;
	if (ret_page->more)
		ps_conn_query_walk_cursor(q, l->walk, at, ret_page->next);
	return 0;
}
