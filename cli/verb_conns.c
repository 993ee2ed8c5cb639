/* `packetscope conns` and `packetscope icmp`: what GET /api/connections and /api/icmp list, as a table. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/api.h"
#include "cli/columns.h"
#include "cli/verb.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/codec/json.h"

#define CONN_COLUMNS \
	"proto,src,dst,state,orig_packets,resp_packets,orig_bytes,resp_bytes,rtt_us,loss,verdict,duration,last_seen"
#define ICMP_COLUMNS \
	"src_ip,dst_ip,icmp_type,icmp_code,packets,bytes,dropped_packets,unanswered,rtt_us,inner_protocol," \
	"inner_dst_ip,inner_dst_port,last_seen"

/* What a narrow terminal does without, the first first. */
static const char *const conn_spare[] = {
	"DURATION", "ORIG PACKETS", "RESP PACKETS", "VERDICT", "LOSS", "RTT US", "ORIG BYTES", "RESP BYTES", NULL};
static const char *const icmp_spare[] = {"INNER DST PORT", "INNER DST IP", "INNER PROTOCOL", "BYTES", "ICMP CODE",
	"DROPPED PACKETS", "UNANSWERED", "RTT US", NULL};

struct listing {
	const char *path; /* with the query */
	const char *noun; /* "connections" */
	enum ps_record_type type;
	const char *columns;
	const char *const *spare;
};

static void add_parameter(struct ps_buf *path, bool *first, const char *name, const char *value)
{
	if (!*value)
		return;
	ps_buf_addf(path, "%c%s=", *first ? '?' : '&', name);
	ps_fetch_escape(path, value);
	*first = false;
}

/* Counting in a listing: "42 connections" or "100 of 1,234 connections; more with --limit". */
static void add_footer(struct ps_buf *out, const struct listing *l, size_t shown, uint64_t total)
{
	if (total > shown)
		ps_buf_addf(out, "%zu of %" PRIu64 " %s; more with --limit\n", shown, total, l->noun);
	else
		ps_buf_addf(out, "%zu %s\n", shown, l->noun);
}

static int print_table(
	const struct listing *l, const struct ps_columns *columns, bool chosen, struct ps_buf *text, uint64_t total)
{
	_cleanup_(ps_value_free) struct ps_value *records = NULL;
	_cleanup_(ps_table_free) struct ps_table *table = ps_table_new();
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;
	uint64_t now = ps_clock_wall();
	struct ps_error err = {0};
	size_t hidden;

	/* Once parsed the text is not needed; the tree is the larger of the two. */
	if (ps_json_parse((const char *)text->data, text->len, &records, &err) < 0)
		return ps_cli_fail(&err);
	ps_buf_free(text);
	ps_columns_begin(columns, table);
	for (size_t i = 0; i < ps_value_count(records); i++)
		ps_columns_add(columns, table, ps_value_at(records, i), now);
	hidden = chosen ? 0 : ps_table_fit(table, ps_cli_width(), l->spare);
	if (ps_table_render(table, ps_cli_colour(), &out) < 0)
		out.error = -ENOMEM;
	add_footer(&out, l, ps_value_count(records), total);
	if (hidden)
		ps_buf_addf(&out, "%zu more columns in a wider terminal, or choose with --fields\n", hidden);
	return ps_cli_print(&out, PS_EXIT_OK);
}

/* Keeps only the chosen columns of each element, in their order. */
static int print_json(const struct ps_columns *columns, bool all, struct ps_buf *text)
{
	_cleanup_(ps_value_free) struct ps_value *records = NULL;
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;
	struct ps_error err = {0};
	struct ps_field fields[PS_TABLE_COLUMNS_MAX * 2];
	struct ps_schema chosen;

	if (all) {
		ps_buf_addc(text, '\n');
		return ps_cli_print(text, PS_EXIT_OK);
	}
	if (ps_json_parse((const char *)text->data, text->len, &records, &err) < 0)
		return ps_cli_fail(&err);
	ps_columns_schema(columns, fields, &chosen);
	ps_buf_addc(&out, '[');
	for (size_t i = 0; i < ps_value_count(records); i++) {
		const struct ps_value *record = ps_value_at(records, i);

		for (size_t k = 0; k < chosen.n_fields; k++) {
			ps_buf_addf(&out, "%s\"%s\":", k ? "," : i ? ",{" : "{", fields[k].name);
			ps_json_write(&out, ps_value_get(record, fields[k].name));
		}
		ps_buf_addc(&out, '}');
	}
	ps_buf_adds(&out, "]\n");
	return ps_cli_print(&out, PS_EXIT_OK);
}

static int list(const struct ps_settings *s, const struct listing *l)
{
	_cleanup_(ps_fetch_free) struct ps_fetch *client = NULL;
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;
	struct ps_columns columns;
	struct ps_error err = {0};
	uint64_t total;

	if (ps_columns_choose(&ps_schemas[l->type], *s->fields ? s->fields : l->columns, &columns, &err) < 0)
		return ps_cli_fail(&err), PS_EXIT_USAGE;
	if (ps_api_open(s, &client, &err) < 0)
		return ps_cli_fail(&err), PS_EXIT_USAGE;
	if (ps_api_list(client, l->path, s->limit, &text, &total, &err) < 0)
		return ps_cli_fail(&err);
	return s->json ? print_json(&columns, !*s->fields, &text) : print_table(l, &columns, *s->fields, &text, total);
}

/* One connection: every field on a line of its own. */
static int show_one(const struct ps_settings *s, const char *id)
{
	_cleanup_(ps_fetch_free) struct ps_fetch *client = NULL;
	_cleanup_(ps_fetch_reply_free) struct ps_fetch_reply reply = {0};
	_cleanup_(ps_value_free) struct ps_value *conn = NULL;
	_cleanup_(ps_table_free) struct ps_table *table = ps_table_new();
	_cleanup_(ps_buf_free) struct ps_buf path = PS_BUF_INIT, out = PS_BUF_INIT;
	struct ps_error err = {0};

	ps_buf_adds(&path, "/api/connections/");
	ps_fetch_escape(&path, id);
	if (ps_api_open(s, &client, &err) < 0)
		return ps_cli_fail(&err), PS_EXIT_USAGE;
	if (ps_api_call(client, "GET", ps_buf_str(&path), NULL, &reply, &err) < 0)
		return ps_cli_fail(&err);
	if (s->json)
		return ps_cli_print(&reply.body, PS_EXIT_OK);
	if (ps_json_parse((const char *)reply.body.data, reply.body.len, &conn, &err) < 0)
		return ps_cli_fail(&err);
	ps_table_column(table, "FIELD", false);
	ps_table_column(table, "VALUE", false);
	ps_table_column(table, "MEANING", false);
	for (size_t i = 0; i < ps_value_count(conn); i++) {
		_cleanup_(ps_buf_free) struct ps_buf value = PS_BUF_INIT;
		const char *name = ps_value_key_at(conn, i);
		const struct ps_field *field = ps_schema_find(&ps_schemas[PS_RECORD_CONN], name, strlen(name));
		const struct ps_value *v = ps_value_at(conn, i);

		if (ps_value_kind(v) == PS_VALUE_STRING)
			ps_buf_adds(&value, ps_value_as_string(v, ""));
		else
			ps_json_write(&value, v);
		ps_table_row(table);
		ps_table_cell(table, PS_STYLE_PLAIN, name);
		ps_table_cell(table, PS_STYLE_PLAIN, ps_buf_str(&value));
		ps_table_cell(table, PS_STYLE_DIM, field ? field->doc : "");
	}
	if (ps_table_render(table, ps_cli_colour(), &out) < 0)
		out.error = -ENOMEM;
	return ps_cli_print(&out, PS_EXIT_OK);
}

int ps_verb_conns(const struct ps_settings *s, int n, char **operands)
{
	_cleanup_(ps_buf_free) struct ps_buf path = PS_BUF_INIT;
	struct listing l = {
		.noun = "connections", .type = PS_RECORD_CONN, .columns = CONN_COLUMNS, .spare = conn_spare};
	bool first = true;

	if (n > 1)
		return ps_cli_usage("conns", "one id at a time");
	if (n == 1)
		return show_one(s, operands[0]);
	ps_buf_adds(&path, "/api/connections");
	add_parameter(&path, &first, "sort", s->sort);
	add_parameter(&path, &first, "order", s->order);
	add_parameter(&path, &first, "proto", s->proto);
	add_parameter(&path, &first, "state", s->state);
	add_parameter(&path, &first, "ip", s->ip);
	add_parameter(&path, &first, "port", s->port);
	add_parameter(&path, &first, "q", s->query);
	l.path = ps_buf_str(&path);
	return l.path ? list(s, &l) : PS_EXIT_FAILED;
}

int ps_verb_icmp(const struct ps_settings *s, int n, char **operands)
{
	struct listing l = {.path = "/api/icmp",
		.noun = "entries",
		.type = PS_RECORD_ICMP,
		.columns = ICMP_COLUMNS,
		.spare = icmp_spare};

	(void)operands;
	if (n > 0)
		return ps_cli_usage("icmp", "takes no operands");
	return list(s, &l);
}
