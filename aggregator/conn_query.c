#include "aggregator/conn_query.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/model/record.h"

/*
 * --- cursor: FIELD.ORDER.VALUE.ID, the value as bytes in hexadecimal; of a field that moves FIELD.ORDER.LIST.PLACE --
 */

void ps_conn_query_cursor(const struct ps_conn_query *q, const struct ps_conn *last, char out[static PS_CURSOR_TEXT])
{
	const uint8_t *value = (const uint8_t *)last + q->order.field->offset;
	size_t size = q->order.field->size;
	int n = snprintf(out, PS_CURSOR_TEXT, "%s.%c.", q->order.field->name, q->order.descending ? 'd' : 'a');

	for (size_t i = 0; i < size; i++)
		n += snprintf(out + n, PS_CURSOR_TEXT - (size_t)n, "%02x", value[i]);
	(void)snprintf(out + n, PS_CURSOR_TEXT - (size_t)n, ".%016llx", (unsigned long long)last->id);
}

void ps_conn_query_walk_cursor(
	const struct ps_conn_query *q, uint64_t list, uint64_t at, char out[static PS_CURSOR_TEXT])
{
	(void)snprintf(out, PS_CURSOR_TEXT, "%s.%c.%016llx.%016llx", q->order.field->name,
		q->order.descending ? 'd' : 'a', (unsigned long long)list, (unsigned long long)at);
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
	bool fixed = ps_conn_order_is_fixed(&q->order), good;
	size_t size = fixed ? q->order.field->size : 8;
	size_t n =
		(size_t)snprintf(head, sizeof(head), "%s.%c.", q->order.field->name, q->order.descending ? 'd' : 'a');
	const char *second = text + n + 2 * size + 1;

	good = strncmp(text, head, n) == 0 && strlen(text) == n + 2 * size + 1 + 16 && second[-1] == '.';
	if (good && fixed)
		good = hex_read(text + n, size, (uint8_t *)&q->cursor + q->order.field->offset) &&
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
	q->order.field = ps_schema_find(&ps_schemas[PS_RECORD_CONN], sort, strlen(sort));
	if (!q->order.field)
		return ps_error_set(
			err, -EINVAL, 400, "bad_value", "sort", "there is no field \"%.40s\" to sort by", sort);
	if (order && strcmp(order, "asc") != 0 && strcmp(order, "desc") != 0)
		return ps_error_set(err, -EINVAL, 400, "bad_value", "order", "order must be asc or desc");
	q->order.descending = !order || strcmp(order, "desc") == 0;
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

/* --- which ------------------------------------------------------------------------------------- */

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
