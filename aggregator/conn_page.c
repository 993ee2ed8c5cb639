#include "aggregator/conn_page.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"

static int by_order(const void *a, const void *b, void *order)
{
	return ps_conn_row_compare(order, a, b);
}

static void swap(struct ps_conn_row *a, struct ps_conn_row *b)
{
	struct ps_conn_row was = *a;

	*a = *b;
	*b = was;
}

/* Puts the k first of n rows before the others, the last of them at k - 1 (Hoare's selection). */
static void select_first(const struct ps_conn_query *q, struct ps_conn_row *row, size_t n, size_t k)
{
	size_t low = 0, high = n - 1;

	while (low < high) {
		struct ps_conn_row pivot = row[low + (high - low) / 2];
		size_t i = low, j = high;

		for (;; i++, j--) {
			while (ps_conn_row_compare(&q->order, &row[i], &pivot) < 0)
				i++;
			while (ps_conn_row_compare(&q->order, &row[j], &pivot) > 0)
				j--;
			if (i >= j)
				break;
			swap(&row[i], &row[j]);
		}
		/* rows up to j come before those behind it, or are equal */
		if (k - 1 <= j)
			high = j;
		else
			low = j + 1;
	}
}

/*
 * What is kept is what comes first of more rows than that: the page and the rows before it. When there is no room for
 * another, those behind go. So a row costs a few comparisons, also when every one of a million comes before all that
 * were met.
 */
struct selection {
	struct ps_conn_row *row;
	size_t n, room, keep;
	struct ps_conn_row last; /* of those that are kept, once there were so many */
	bool was_full;
};

static void select_row(const struct ps_conn_query *q, struct selection *s, const struct ps_conn_row *added)
{
	if (s->was_full && ps_conn_row_compare(&q->order, added, &s->last) > 0)
		return;
	s->row[s->n++] = *added;
	if (s->n < s->room)
		return;
	select_first(q, s->row, s->n, s->keep);
	s->n = s->keep;
	s->last = s->row[s->n - 1];
	s->was_full = true;
}

/* The rows of the page, in order; *ret_n of them. */
static struct ps_conn_row *page_of(const struct ps_conn_query *q, struct selection *s, size_t *ret_n)
{
	*ret_n = 0;
	if (s->n <= q->offset)
		return s->row;
	if (s->n > s->keep)
		select_first(q, s->row, s->n, s->keep);
	s->n = PS_MIN(s->n, s->keep);
	if (q->offset)
		select_first(q, s->row, s->n, q->offset);
	*ret_n = s->n - q->offset;
	qsort_r(s->row + q->offset, *ret_n, sizeof(s->row[0]), by_order, (void *)(uintptr_t)&q->order);
	return s->row + q->offset;
}

static size_t rows_known(const struct ps_conn_table *table)
{
	struct ps_conn_totals totals;

	ps_conn_table_totals(table, &totals);
	return totals.live + totals.ended;
}

/* All rows of the table. Returns how many of those that match come after the cursor. */
static size_t select_all(const struct ps_conn_query *q, const struct ps_conn_table *table, struct selection *s,
	struct ps_conn_page *page)
{
	const struct ps_conn_row cursor = ps_conn_row_of(&q->order, &q->cursor);
	size_t position = 0, looks = 0, following = 0;
	const struct ps_conn *c;
	bool ended;

	while ((c = ps_conn_table_next(table, &position, &ended))) {
		struct ps_conn_row row;

		if (q->breathe && ++looks % PS_BREATH_ROWS == 0) {
			q->breathe(q->breathe_arg);
			position--; /* this one again: it may have gone */
			continue;
		}
		if ((ended && !q->ended) || !ps_conn_query_matches(q, c))
			continue;
		page->total++;
		row = ps_conn_row_of(&q->order, c);
		if (q->has_cursor && ps_conn_row_compare(&q->order, &row, &cursor) <= 0)
			continue;
		following++;
		select_row(q, s, &row);
	}
	return following;
}

/* The default of those who only want to see what goes on: the table knows it without looking at the others. */
static bool is_plain(const struct ps_conn_query *q)
{
	return q->order.field->offset == offsetof(struct ps_conn, last_seen) && !q->has_cursor && !q->ended &&
	       q->proto < 0 && q->state < 0 && q->port < 0 && !q->ip.family && !q->q[0];
}

static size_t select_seen(const struct ps_conn_query *q, const struct ps_conn_table *table, struct selection *s,
	struct ps_conn_page *page)
{
	struct ps_conn_totals totals;
	const struct ps_conn *c;
	size_t position = 0;

	for (;;) {
		struct ps_conn_row row;
		uint64_t last = s->was_full ? s->last.key : q->order.descending ? 0 : UINT64_MAX;

		c = ps_conn_table_seen(
			table, &position, q->order.descending ? last : 0, q->order.descending ? UINT64_MAX : last);
		if (!c)
			break;
		row = ps_conn_row_of(&q->order, c);
		select_row(q, s, &row);
	}
	ps_conn_table_totals(table, &totals);
	page->total = totals.live;
	return totals.live;
}

int ps_conn_page_read(const struct ps_conn_query *q, const struct ps_conn_table *table, struct ps_conn_page *ret_page)
{
	struct selection s = {.keep = q->offset + q->limit};
	_cleanup_free_ struct ps_conn_row *rows = NULL;
	size_t following;
	struct ps_conn_row *first;

	s.room = PS_MIN(2 * s.keep, rows_known(table) + 1); /* room for all: nothing needs to go */
	s.row = rows = malloc(s.room * sizeof(*rows));
	if (!rows)
		return -ENOMEM;
	ret_page->total = 0;
	ret_page->next[0] = '\0';
	following = is_plain(q) ? select_seen(q, table, &s, ret_page) : select_all(q, table, &s, ret_page);
	first = page_of(q, &s, &ret_page->n);
	for (size_t i = 0; i < ret_page->n; i++)
		ret_page->row[i] = first[i].conn;
	ret_page->more = ret_page->n && following > q->offset + ret_page->n;
	if (ret_page->more && ps_conn_order_is_fixed(&q->order))
		ps_conn_query_cursor(q, ret_page->row[ret_page->n - 1], ret_page->next);
	return 0;
}

bool ps_conn_page_scan(const struct ps_conn_query *q, const struct ps_conn_table *table, size_t *position,
	struct ps_conn_page *ret_page)
{
	const struct ps_conn *c = NULL;
	bool ended;

	ret_page->n = ret_page->total = 0;
	ret_page->more = false;
	ret_page->next[0] = '\0';
	for (size_t looks = 0; looks < PS_SCAN_LOOKS && ret_page->n < q->limit; looks++) {
		c = ps_conn_table_next(table, position, &ended);
		if (!c)
			return false;
		if ((!ended || q->ended) && ps_conn_query_matches(q, c))
			ret_page->row[ret_page->n++] = c;
	}
	return true;
}
