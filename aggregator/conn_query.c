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

#define COMPARE_AS(type, a, b) \
	({ \
		type va, vb; \
		memcpy(&va, (a), sizeof(va)); \
		memcpy(&vb, (b), sizeof(vb)); \
		(va > vb) - (va < vb); \
	})

static int compare_field(const struct ps_field *f, const struct ps_conn *a, const struct ps_conn *b)
{
	const char *pa = (const char *)a + f->offset, *pb = (const char *)b + f->offset;

	switch (f->kind) {
	case PS_KIND_ADDR:
		return ps_addr_compare((const struct ps_addr *)pa, (const struct ps_addr *)pb);
	case PS_KIND_NAME:
	case PS_KIND_TEXT:
		return strncmp(pa, pb, kind_size(f->kind));
	case PS_KIND_RATIO:
		return COMPARE_AS(double, pa, pb);
	case PS_KIND_RULE:
		return COMPARE_AS(int32_t, pa, pb);
	default:
		break;
	}
	switch (kind_size(f->kind)) {
	case 1:
		return COMPARE_AS(uint8_t, pa, pb);
	case 2:
		return COMPARE_AS(uint16_t, pa, pb);
	case 4:
		return COMPARE_AS(uint32_t, pa, pb);
	default:
		return COMPARE_AS(uint64_t, pa, pb);
	}
}

/* <0: a comes before b on the pages. */
static int compare_rows(const struct ps_conn_query *q, const struct ps_conn *a, const struct ps_conn *b)
{
	int r = compare_field(q->sort, a, b);

	if (!r)
		r = (a->id > b->id) - (a->id < b->id);
	return q->descending ? -r : r;
}

/* --- cursor: FIELD.ORDER.VALUE.ID, the value as bytes in hexadecimal ------------------------------ */

static void cursor_write(const struct ps_conn_query *q, const struct ps_conn *last, char out[static PS_CURSOR_TEXT])
{
	const uint8_t *value = (const uint8_t *)last + q->sort->offset;
	size_t size = kind_size(q->sort->kind);
	int n = snprintf(out, PS_CURSOR_TEXT, "%s.%c.", q->sort->name, q->descending ? 'd' : 'a');

	for (size_t i = 0; i < size; i++)
		n += snprintf(out + n, PS_CURSOR_TEXT - (size_t)n, "%02x", value[i]);
	(void)snprintf(out + n, PS_CURSOR_TEXT - (size_t)n, ".%016llx", (unsigned long long)last->id);
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

static int cursor_read(struct ps_conn_query *q, const char *text, struct ps_error *err)
{
	char head[80];
	size_t size = kind_size(q->sort->kind);
	int n = snprintf(head, sizeof(head), "%s.%c.", q->sort->name, q->descending ? 'd' : 'a');
	uint8_t id[8];

	if (strncmp(text, head, (size_t)n) != 0 || strlen(text) != (size_t)n + 2 * size + 1 + 16 ||
		text[(size_t)n + 2 * size] != '.' ||
		!hex_read(text + n, size, (uint8_t *)&q->cursor + q->sort->offset) ||
		!hex_read(text + (size_t)n + 2 * size + 1, 8, id))
		return ps_error_set(err, -EINVAL, 400, "bad_value", "cursor",
			"this cursor is not of a page with the same sort and order; leave it out to begin anew");
	q->cursor.id = 0;
	for (int i = 0; i < 8; i++)
		q->cursor.id = q->cursor.id << 8 | id[i];
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
	const char *proto, *state, *ip, *text;
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
	if (text)
		memcpy(q->q, text, strlen(text) + 1);
	return 0;
}

int ps_conn_query_parse(const struct ps_value *args, struct ps_conn_query *ret_query, struct ps_error *err)
{
	struct ps_conn_query q = {.proto = -1, .state = -1, .port = -1};
	int64_t limit = 100, port = -1;
	const char *cursor = NULL;
	int r;

	r = read_number(args, "limit", 1, PS_REQUEST_PAGE_MAX, &limit, err);
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
	q.port = (int)port;
	q.ended = ps_value_get_bool(args, "ended", false);
	*ret_query = q;
	return 0;
}

/* --- rows --------------------------------------------------------------------------------------- */

static bool matches(const struct ps_conn_query *q, const struct ps_conn *c)
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
	return !q->q[0] || strcasestr(ps_conn_key(c, key), q->q);
}

/* The page's rows as a heap with the last one on top, so that a better one can take its place. */
static void heap_sink(const struct ps_conn_query *q, const struct ps_conn **row, size_t n, size_t i)
{
	for (;;) {
		size_t last = i, left = 2 * i + 1, right = left + 1;
		const struct ps_conn *moved;

		if (left < n && compare_rows(q, row[left], row[last]) > 0)
			last = left;
		if (right < n && compare_rows(q, row[right], row[last]) > 0)
			last = right;
		if (last == i)
			return;
		moved = row[i];
		row[i] = row[last];
		row[last] = moved;
		i = last;
	}
}

static void heap_add(const struct ps_conn_query *q, const struct ps_conn **row, size_t n, const struct ps_conn *c)
{
	row[n] = c;
	for (size_t i = n; i > 0;) {
		size_t up = (i - 1) / 2;

		if (compare_rows(q, row[up], row[i]) >= 0)
			return;
		row[i] = row[up];
		row[up] = c;
		i = up;
	}
}

static void heap_sort(const struct ps_conn_query *q, const struct ps_conn **row, size_t n)
{
	while (n-- > 1) {
		const struct ps_conn *last = row[0];

		row[0] = row[n];
		row[n] = last;
		heap_sink(q, row, n, 0);
	}
}

void ps_conn_query_run(const struct ps_conn_query *q, const struct ps_conn_table *table, struct ps_conn_page *ret_page)
{
	const struct ps_conn *c;
	size_t position = 0, following = 0;
	bool ended;

	ret_page->n = ret_page->total = 0;
	ret_page->next[0] = '\0';
	while ((c = ps_conn_table_next(table, &position, &ended))) {
		if ((ended && !q->ended) || !matches(q, c))
			continue;
		ret_page->total++;
		if (q->has_cursor && compare_rows(q, c, &q->cursor) <= 0)
			continue;
		following++;
		if (ret_page->n < q->limit) {
			heap_add(q, ret_page->row, ret_page->n++, c);
		} else if (compare_rows(q, c, ret_page->row[0]) < 0) {
			ret_page->row[0] = c;
			heap_sink(q, ret_page->row, ret_page->n, 0);
		}
	}
	heap_sort(q, ret_page->row, ret_page->n);
	if (following > ret_page->n)
		cursor_write(q, ret_page->row[ret_page->n - 1], ret_page->next);
}
