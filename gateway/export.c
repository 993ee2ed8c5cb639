#include "gateway/export.h"

#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/codec/batch.h"
#include "common/codec/json.h"
#include "common/codec/row_json.h"
#include "common/model/community_id.h"
#include "gateway/limits.h"
#include "gateway/pager.h"
#include "gateway/route.h"

enum format {
	AS_ARRAY,
	AS_LINES,
	AS_CSV,
	FORMATS,
};

static const struct {
	const char *name, *type;
} formats[FORMATS] = {
	[AS_ARRAY] = {"json", "application/json"},
	[AS_LINES] = {"ndjson", "application/x-ndjson"},
	[AS_CSV] = {"csv", "text/csv"},
};

/* --- CSV ------------------------------------------------------------------------------------------ */

/* JSON's text of one value without its quotes, quoted as CSV wants it. */
static void add_cell(struct ps_buf *out, const char *s, size_t len)
{
	bool formula = len && strchr("=+-@\t\r", s[0]) && strspn(s, "-0123456789.eE+") != len;
	bool quote = memchr(s, ',', len) || memchr(s, '"', len) || memchr(s, '\n', len) || memchr(s, '\r', len);

	if (quote)
		ps_buf_addc(out, '"');
	if (formula)
		ps_buf_addc(out, '\'');
	for (size_t i = 0; i < len; i++) {
		if (s[i] == '"')
			ps_buf_addc(out, '"');
		ps_buf_addc(out, s[i]);
	}
	if (quote)
		ps_buf_addc(out, '"');
}

/* Texts have no escapes but \" and \\ and those of control characters, which a cell does without. */
static size_t unescape(char *s, size_t len)
{
	size_t to = 0;

	for (size_t i = 0; i < len; i++) {
		if (s[i] == '\\' && i + 1 < len) {
			i++;
			if (s[i] != '"' && s[i] != '\\' && s[i] != '/') {
				i += s[i] == 'u' ? 4 : 0;
				s[to++] = '?';
				continue;
			}
		}
		s[to++] = s[i];
	}
	return to;
}

void ps_export_csv(struct ps_buf *out, const struct ps_schema *schema, const void *record)
{
	_cleanup_(ps_buf_free) struct ps_buf json = PS_BUF_INIT;
	char *p, *end;

	ps_json_record(&json, schema, record); /* "name":value,"name":value */
	if (!ps_buf_str(&json))
		return;
	p = (char *)json.data;
	end = p + json.len;
	for (size_t i = 0; i < schema->n_fields && p < end; i++) {
		char *value = p + strlen(schema->fields[i].name) + 3, *close;

		if (i)
			ps_buf_addc(out, ',');
		if (*value == '"') {
			for (close = ++value; *close != '"'; close += 1 + (*close == '\\'))
				;
			add_cell(out, value, unescape(value, (size_t)(close - value)));
			p = close + 2;
		} else {
			close = memchr(value, ',', (size_t)(end - value)) ?: end;
			if (memcmp(value, "null", PS_MIN((size_t)4, (size_t)(close - value))) != 0)
				add_cell(out, value, (size_t)(close - value));
			p = close + 1;
		}
	}
	ps_buf_adds(out, "\r\n");
}

static int render_csv(struct ps_buf *out, const struct ps_reply *reply)
{
	const struct ps_schema *schema = &ps_schemas[PS_RECORD_CONN];
	struct ps_batch_reader reader;
	struct ps_conn c;
	int r = ps_batch_reader_init(
		&reader, PS_RECORD_CONN, ps_value_get(reply->body, "fields"), reply->payload, reply->payload_len);
	int n = 0;

	while (r >= 0) {
		r = ps_batch_next(&reader, &c);
		if (r == 0)
			return n;
		if (r < 0)
			return r;
		if (!c.community_id[0])
			(void)ps_community_id(PS_COMMUNITY_ID_SEED, c.proto, &c.src_ip, c.src_port, &c.dst_ip,
				c.dst_port, c.community_id);
		ps_export_csv(out, schema, &c);
		n++;
	}
	return r;
}

/* ",id,proto,…": the first comma is left out. */
static const char names[] =
#define PS_CONN(name, kind, doc) "," #name
#include "common/model/schema.def"
	"\r\n";

/* --- pages ---------------------------------------------------------------------------------------- */

static int render_json(struct ps_buf *out, const struct ps_reply *reply, bool lines, uint64_t given)
{
	struct ps_row_json rows;
	int n = 0, r;

	r = ps_row_json_init(
		&rows, PS_RECORD_CONN, ps_value_get(reply->body, "fields"), reply->payload, reply->payload_len);
	while (r >= 0) {
		size_t before = out->len;

		if (!lines)
			ps_buf_adds(out, given || n ? ",\n" : "\n");
		r = ps_row_json_next(&rows, out);
		if (r == 0) {
			out->len = before;
			return n;
		}
		if (lines)
			ps_buf_addc(out, '\n');
		n++;
	}
	return r;
}

static int render(void *arg, struct ps_buf *out, const struct ps_reply *reply, uint64_t given)
{
	enum format format = (enum format)(uintptr_t)arg;

	if (!reply->payload || !reply->payload_len)
		return 0;
	return format == AS_CSV ? render_csv(out, reply) : render_json(out, reply, format == AS_LINES, given);
}

/* How many there are is known only when nothing is left out. */
static void begin(struct ps_exchange *x, const struct ps_reply *reply)
{
	int64_t total;

	if (ps_value_is_integer(ps_value_get(reply->body, "total"), &total) && total >= 0)
		ps_http_response_header(&x->resp, "X-Total-Count", "%lld", (long long)total);
}

static const struct ps_pager_form forms[FORMATS] = {
	[AS_ARRAY] = {.type = "application/json",
		.head = "[",
		.foot = "\n]\n",
		.page = PS_EXPORT_PAGE,
		.render = render,
		.begin = begin},
	[AS_LINES] = {.type = "application/x-ndjson",
		.head = "",
		.foot = "",
		.page = PS_EXPORT_PAGE,
		.render = render,
		.begin = begin},
	[AS_CSV] = {.type = "text/csv; charset=utf-8; header=present",
		.head = names + 1,
		.foot = "",
		.page = PS_EXPORT_PAGE,
		.render = render,
		.begin = begin},
};

/* The format that the request asks for; FORMATS: none, the list. */
static enum format wanted(const struct ps_exchange *x)
{
	const char *name = ps_value_get_string(x->args, "format", NULL), *accept = x->req.headers.accept;

	for (int f = 0; name && f < FORMATS; f++) {
		if (!strcmp(name, formats[f].name))
			return (enum format)f;
	}
	if (!accept || strstr(accept, formats[AS_ARRAY].type))
		return FORMATS;
	for (int f = AS_LINES; f < FORMATS; f++) {
		if (strstr(accept, formats[f].type))
			return (enum format)f;
	}
	return FORMATS;
}

bool ps_export_wanted(const struct ps_exchange *x)
{
	return wanted(x) != FORMATS;
}

void ps_export(struct ps_exchange *x)
{
	enum format format = wanted(x);
	bool sorted = ps_value_get(x->args, "sort") || ps_value_get(x->args, "order") ||
		      ps_value_get(x->args, "cursor") || ps_value_get(x->args, "offset");

	ps_value_unset(x->args, "format");
	ps_http_response_header(&x->resp, "Content-Disposition", "attachment; filename=\"packetscope-connections.%s\"",
		formats[format].name);
	/* In no order each connection is met once, whatever changes meanwhile, and a page costs its rows alone. */
	ps_pager_start(x, sorted ? x->route->op : "conns.scan", &forms[format], (void *)(uintptr_t)format);
}
