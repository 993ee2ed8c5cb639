#include "aggregator/conn_query.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/model/record.h"

/* --- order -------------------------------------------------------------------------------------- */

static size_t kind_size(enum ps_kind kind)
{
	switch (kind) {
	case PS_KIND_U8:
	case PS_KIND_PROTO:
	case PS_KIND_BOOL:
	case PS_KIND_VIEW:
	case PS_KIND_STATE:
	case PS_KIND_END:
	case PS_KIND_VERDICT:
	case PS_KIND_DIRECTION:
	case PS_KIND_MODE:
		return 1;
	case PS_KIND_U16:
		return 2;
	case PS_KIND_U32:
	case PS_KIND_RULE:
		return 4;
	case PS_KIND_U64:
	case PS_KIND_ID:
	case PS_KIND_TIME:
	case PS_KIND_SPAN:
	case PS_KIND_RATIO:
		return 8;
	case PS_KIND_ADDR:
		return sizeof(struct ps_addr);
	case PS_KIND_NAME:
		return PS_NAME_SIZE;
	case PS_KIND_TEXT:
		return PS_TEXT_SIZE;
	}
	return 0;
}

/* Is the key below the whole value? */
static bool is_number(enum ps_kind kind)
{
	return kind != PS_KIND_ADDR && kind != PS_KIND_NAME && kind != PS_KIND_TEXT;
}

/* Of values whose keys are equal. */
static int compare_text(const struct ps_field *f, const struct ps_conn *a, const struct ps_conn *b)
{
	const char *pa = (const char *)a + f->offset, *pb = (const char *)b + f->offset;

	if (f->kind == PS_KIND_ADDR)
		return ps_addr_compare((const struct ps_addr *)pa, (const struct ps_addr *)pb);
	return strncmp(pa, pb, kind_size(f->kind));
}

/* A row with what decides its place nearly always, so that sorting hardly ever looks into the record again. */
struct row {
	uint64_t key; /* of two different keys the smaller one is first in ascending order */
	uint64_t id;
	const struct ps_conn *conn;
};

static uint64_t leading_bytes(const char *p, size_t n)
{
	uint64_t key = 0;

	for (size_t i = 0; i < 8; i++)
		key = key << 8 | (i < n ? (uint8_t)p[i] : 0);
	return key;
}

static uint64_t number_at(const char *p, size_t size)
{
	uint8_t v8;
	uint16_t v16;
	uint32_t v32;
	uint64_t v64;

	switch (size) {
	case 1:
		memcpy(&v8, p, 1);
		return v8;
	case 2:
		memcpy(&v16, p, 2);
		return v16;
	case 4:
		memcpy(&v32, p, 4);
		return v32;
	default:
		memcpy(&v64, p, 8);
		return v64;
	}
}

static struct row row_of(const struct ps_conn_query *q, const struct ps_conn *c)
{
	const char *p = (const char *)c + q->sort->offset;
	uint64_t key = 0;

	switch (q->sort->kind) {
	case PS_KIND_ADDR:
		key = (uint64_t)((const struct ps_addr *)p)->family << 56 |
		      leading_bytes((const char *)((const struct ps_addr *)p)->word, 8) >> 8;
		break;
	case PS_KIND_NAME:
	case PS_KIND_TEXT:
		key = leading_bytes(p, strnlen(p, 8));
		break;
	case PS_KIND_RULE:
		key = number_at(p, 4) ^ 0x80000000u; /* signed */
		break;
	default: /* a ratio is never negative, so its bits are in its order */
		key = number_at(p, kind_size(q->sort->kind));
	}
	return (struct row){.key = key, .id = c->id, .conn = c};
}

/* <0: a comes before b on the pages. */
static int compare_rows(const struct ps_conn_query *q, const struct row *a, const struct row *b)
{
	int r = (a->key > b->key) - (a->key < b->key);

	if (!r && !is_number(q->sort->kind))
		r = compare_text(q->sort, a->conn, b->conn);
	if (!r)
		r = (a->id > b->id) - (a->id < b->id);
	return q->descending ? -r : r;
}

bool ps_conn_query_key(const struct ps_conn_query *q, const struct ps_conn *c, uint64_t *ret_key)
{
	const char *p = (const char *)c + q->sort->offset;
	uint64_t key = row_of(q, c).key;

	*ret_key = q->descending ? ~key : key;
	if (q->sort->kind == PS_KIND_ADDR)
		return ((const struct ps_addr *)p)->family != PS_FAMILY_IPV6;
	return is_number(q->sort->kind) || strnlen(p, 8) < 8;
}

int ps_conn_query_compare(const struct ps_conn_query *q, const struct ps_conn *a, const struct ps_conn *b)
{
	const struct row ra = row_of(q, a), rb = row_of(q, b);

	return compare_rows(q, &ra, &rb);
}

/* Of addresses and ports, the two ends may yet change places; of the rest, all but these count. */
bool ps_conn_query_is_fixed(const struct ps_conn_query *q)
{
	return q->sort->offset == offsetof(struct ps_conn, id) ||
	       q->sort->offset == offsetof(struct ps_conn, first_seen) ||
	       q->sort->offset == offsetof(struct ps_conn, proto);
}

/*
 * --- cursor: FIELD.ORDER.VALUE.ID, the value as bytes in hexadecimal; of a field that moves FIELD.ORDER.LIST.PLACE --
 */

static void cursor_write(const struct ps_conn_query *q, const struct ps_conn *last, char out[static PS_CURSOR_TEXT])
{
	const uint8_t *value = (const uint8_t *)last + q->sort->offset;
	size_t size = kind_size(q->sort->kind);
	int n = snprintf(out, PS_CURSOR_TEXT, "%s.%c.", q->sort->name, q->descending ? 'd' : 'a');

	for (size_t i = 0; i < size; i++)
		n += snprintf(out + n, PS_CURSOR_TEXT - (size_t)n, "%02x", value[i]);
	(void)snprintf(out + n, PS_CURSOR_TEXT - (size_t)n, ".%016llx", (unsigned long long)last->id);
}

void ps_conn_query_walk_cursor(
	const struct ps_conn_query *q, uint64_t list, uint64_t at, char out[static PS_CURSOR_TEXT])
{
	(void)snprintf(out, PS_CURSOR_TEXT, "%s.%c.%016llx.%016llx", q->sort->name, q->descending ? 'd' : 'a',
		(unsigned long long)list, (unsigned long long)at);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool hex_read(const char *text, size_t bytes, uint8_t *out)
{
	for (size_t i = 0; i < bytes; i++) {
		int high = hex_digit(text[2 * i]), low = high < 0 ? -1 : hex_digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static bool hex_number(const char *text, uint64_t *ret_number)
{
	uint8_t bytes[8];

	if (!hex_read(text, sizeof(bytes), bytes))
		return false;
	*ret_number = 0;
	for (size_t i = 0; i < sizeof(bytes); i++)
		*ret_number = *ret_number << 8 | bytes[i];
	return true;
}

static int cursor_read(struct ps_conn_query *q, const char *text, struct ps_error *err)
{
	char head[80];
	bool fixed = ps_conn_query_is_fixed(q), good;
	size_t size = fixed ? kind_size(q->sort->kind) : 8;
	size_t n = (size_t)snprintf(head, sizeof(head), "%s.%c.", q->sort->name, q->descending ? 'd' : 'a');
	const char *second = text + n + 2 * size + 1;

	good = strncmp(text, head, n) == 0 && strlen(text) == n + 2 * size + 1 + 16 && second[-1] == '.';
	if (good && fixed)
		good = hex_read(text + n, size, (uint8_t *)&q->cursor + q->sort->offset) &&
		       hex_number(second, &q->cursor.id);
	else if (good)
		good = hex_number(text + n, &q->walk.list) && hex_number(second, &q->walk.at);
	if (!good)
		return ps_error_set(err, -EINVAL, 400, "bad_value", "cursor",
			"this cursor is not of a page with the same sort and order; leave it out to begin anew");
	q->has_cursor = true;
	return 0;
}

/* --- arguments ---------------------------------------------------------------------------------- */

/* A whole number, also as text. Missing or null: unchanged. */
static int read_number(
	const struct ps_value *args, const char *name, int64_t min, int64_t max, int64_t *value, struct ps_error *err)
{
	const struct ps_value *v = ps_value_get(args, name);
	const char *text = ps_value_as_string(v, NULL);
	int64_t i = 0;
	char *end = NULL;

	if (ps_value_kind(v) == PS_VALUE_NULL)
		return 0;
	errno = 0;
	if (text && *text)
		i = strtoll(text, &end, 10);
	if ((text ? !end || *end || errno : !ps_value_is_integer(v, &i)) || i < min || i > max)
		return ps_error_set(err, -EINVAL, 400, "bad_value", name, "%s must be a whole number from %lld to %lld",
			name, (long long)min, (long long)max);
	*value = i;
	return 0;
}

/* Keys are ASCII. */
static char fold(char c)
{
	return (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

/* Text that is there and not empty, or NULL. */
static int read_text(const struct ps_value *args, const char *name, const char **ret_text, struct ps_error *err)
{
	const struct ps_value *v = ps_value_get(args, name);

	if (ps_value_kind(v) == PS_VALUE_NULL) {
		*ret_text = NULL;
		return 0;
	}
	if (ps_value_kind(v) != PS_VALUE_STRING)
		return ps_error_set(err, -EINVAL, 400, "bad_value", name, "%s must be text", name);
	*ret_text = ps_value_as_string(v, "");
	if (!**ret_text)
		*ret_text = NULL;
	return 0;
}

static int read_sort(const struct ps_value *args, struct ps_conn_query *q, struct ps_error *err)
{
	const char *sort = NULL, *order = NULL;
	int r = read_text(args, "sort", &sort, err);

	if (r >= 0)
		r = read_text(args, "order", &order, err);
	if (r < 0)
		return r;
	if (!sort)
		sort = "last_seen";
	q->sort = ps_schema_find(&ps_schemas[PS_RECORD_CONN], sort, strlen(sort));
	if (!q->sort)
		return ps_error_set(
			err, -EINVAL, 400, "bad_value", "sort", "there is no field \"%.40s\" to sort by", sort);
	if (order && strcmp(order, "asc") != 0 && strcmp(order, "desc") != 0)
		return ps_error_set(err, -EINVAL, 400, "bad_value", "order", "order must be asc or desc");
	q->descending = !order || strcmp(order, "desc") == 0;
	return 0;
}

static int read_words(const struct ps_value *args, struct ps_conn_query *q, struct ps_error *err)
{
	const char *proto = NULL, *state = NULL, *ip = NULL, *text = NULL;
	uint8_t number;

	if (read_text(args, "proto", &proto, err) < 0 || read_text(args, "state", &state, err) < 0 ||
		read_text(args, "ip", &ip, err) < 0 || read_text(args, "q", &text, err) < 0)
		return -EINVAL;
	if (proto) {
		if (ps_proto_parse(proto, strlen(proto), &number) < 0)
			return ps_error_set(
				err, -EINVAL, 400, "bad_value", "proto", "proto must be tcp, udp or a number");
		q->proto = number;
	}
	if (state) {
		if (ps_enum_parse(PS_KIND_STATE, state, strlen(state), &number) < 0)
			return ps_error_set(err, -EINVAL, 400, "bad_value", "state",
				"state must be one of syn_sent syn_recv established fin_wait close_wait last_ack "
				"time_wait close "
				"unreplied replied");
		q->state = number;
	}
	if (ip && ps_addr_parse(ip, strlen(ip), &q->ip) < 0)
		return ps_error_set(err, -EINVAL, 400, "bad_value", "ip", "ip must be an IPv4 or IPv6 address");
	if (text && strlen(text) >= sizeof(q->q))
		return ps_error_set(err, -EINVAL, 400, "bad_value", "q", "q may have %zu bytes", sizeof(q->q) - 1);
	for (size_t i = 0; text && i < strlen(text) + 1; i++)
		q->q[i] = fold(text[i]);
	return 0;
}

int ps_conn_query_parse(const struct ps_value *args, struct ps_conn_query *ret_query, struct ps_error *err)
{
	struct ps_conn_query q = {.proto = -1, .state = -1, .port = -1};
	int64_t limit = 100, offset = 0, port = -1;
	const char *cursor = NULL;
	int r;

	r = read_number(args, "limit", 1, PS_REQUEST_PAGE_MAX, &limit, err);
	if (r >= 0)
		r = read_number(args, "offset", 0, PS_LIST_OFFSET_MAX, &offset, err);
	if (r >= 0)
		r = read_number(args, "port", 0, 65535, &port, err);
	if (r >= 0)
		r = read_sort(args, &q, err);
	if (r >= 0)
		r = read_words(args, &q, err);
	if (r >= 0)
		r = read_text(args, "cursor", &cursor, err);
	if (r >= 0 && cursor)
		r = cursor_read(&q, cursor, err);
	if (r < 0)
		return r;
	q.limit = (unsigned)limit;
	q.offset = (size_t)offset;
	q.port = (int)port;
	q.ended = ps_value_get_bool(args, "ended", false);
	*ret_query = q;
	return 0;
}

/* --- rows --------------------------------------------------------------------------------------- */

bool ps_conn_query_matches(const struct ps_conn_query *q, const struct ps_conn *c)
{
	char key[PS_KEY_TEXT];

	if (q->proto >= 0 && c->proto != q->proto)
		return false;
	if (q->state >= 0 && c->state != q->state)
		return false;
	if (q->port >= 0 && c->src_port != q->port && c->dst_port != q->port)
		return false;
	if (q->ip.family && !ps_addr_equal(&q->ip, &c->src_ip) && !ps_addr_equal(&q->ip, &c->dst_ip))
		return false;
	if (!q->q[0])
		return true;
	for (char *p = ps_conn_key(c, key); *p; p++)
		*p = fold(*p);
	return strstr(key, q->q);
}

static int by_order(const void *a, const void *b, void *query)
{
	return compare_rows(query, a, b);
}

static void swap(struct row *a, struct row *b)
{
	struct row was = *a;

	*a = *b;
	*b = was;
}

/* Puts the k first of n rows before the others, the last of them at k - 1 (Hoare's selection). */
static void select_first(const struct ps_conn_query *q, struct row *row, size_t n, size_t k)
{
	size_t low = 0, high = n - 1;

	while (low < high) {
		struct row pivot = row[low + (high - low) / 2];
		size_t i = low, j = high;

		for (;; i++, j--) {
			while (compare_rows(q, &row[i], &pivot) < 0)
				i++;
			while (compare_rows(q, &row[j], &pivot) > 0)
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
	struct row *row;
	size_t n, room, keep;
	struct row last; /* of those that are kept, once there were so many */
	bool was_full;
};

static void select_row(const struct ps_conn_query *q, struct selection *s, const struct row *added)
{
	if (s->was_full && compare_rows(q, added, &s->last) > 0)
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
static struct row *page_of(const struct ps_conn_query *q, struct selection *s, size_t *ret_n)
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
	qsort_r(s->row + q->offset, *ret_n, sizeof(s->row[0]), by_order, (void *)(uintptr_t)q);
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
	const struct row cursor = row_of(q, &q->cursor);
	size_t position = 0, looks = 0, following = 0;
	const struct ps_conn *c;
	bool ended;

	while ((c = ps_conn_table_next(table, &position, &ended))) {
		struct row row;

		if (q->breathe && ++looks % PS_BREATH_ROWS == 0) {
			q->breathe(q->breathe_arg);
			position--; /* this one again: it may have gone */
			continue;
		}
		if ((ended && !q->ended) || !ps_conn_query_matches(q, c))
			continue;
		page->total++;
		row = row_of(q, c);
		if (q->has_cursor && compare_rows(q, &row, &cursor) <= 0)
			continue;
		following++;
		select_row(q, s, &row);
	}
	return following;
}

/* The default of those who only want to see what goes on: the table knows it without looking at the others. */
static bool is_plain(const struct ps_conn_query *q)
{
	return q->sort->offset == offsetof(struct ps_conn, last_seen) && !q->has_cursor && !q->ended && q->proto < 0 &&
	       q->state < 0 && q->port < 0 && !q->ip.family && !q->q[0];
}

static size_t select_seen(const struct ps_conn_query *q, const struct ps_conn_table *table, struct selection *s,
	struct ps_conn_page *page)
{
	struct ps_conn_totals totals;
	const struct ps_conn *c;
	size_t position = 0;

	for (;;) {
		struct row row;
		uint64_t last = s->was_full ? s->last.key : q->descending ? 0 : UINT64_MAX;

		c = ps_conn_table_seen(table, &position, q->descending ? last : 0, q->descending ? UINT64_MAX : last);
		if (!c)
			break;
		row = row_of(q, c);
		select_row(q, s, &row);
	}
	ps_conn_table_totals(table, &totals);
	page->total = totals.live;
	return totals.live;
}

int ps_conn_query_run(const struct ps_conn_query *q, const struct ps_conn_table *table, struct ps_conn_page *ret_page)
{
	struct selection s = {.keep = q->offset + q->limit};
	_cleanup_free_ struct row *rows = NULL;
	size_t following;
	struct row *first;

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
	if (ret_page->more && ps_conn_query_is_fixed(q))
		cursor_write(q, ret_page->row[ret_page->n - 1], ret_page->next);
	return 0;
}

bool ps_conn_query_scan(const struct ps_conn_query *q, const struct ps_conn_table *table, size_t *position,
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
