/* `packetscope status` and `packetscope stats`: /api/health and /api/stats for people. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/api.h"
#include "cli/human.h"
#include "cli/table.h"
#include "cli/verb.h"
#include "common/base/cleanup.h"
#include "common/codec/json.h"

/* The health report; it comes with 200 and with 503 alike. */
static int get_health(struct ps_fetch *client, struct ps_value **ret_health, struct ps_error *err)
{
	_cleanup_(ps_fetch_reply_free) struct ps_fetch_reply reply = {0};
	_cleanup_(ps_value_free) struct ps_value *health = NULL;
	int r = ps_fetch_call(client, "GET", "/api/health", NULL, &reply, err);

	if (r < 0)
		return r;
	r = ps_json_parse((const char *)reply.body.data, reply.body.len, &health, NULL);
	if (r < 0 || ps_value_kind(ps_value_get(health, "parts")) != PS_VALUE_MAP) {
		ps_api_problem(reply.status, (const char *)reply.body.data, reply.body.len, err);
		return -EPROTO;
	}
	*ret_health = PS_TAKE(health);
	return 0;
}

static void add_part(struct ps_table *t, const char *name, const struct ps_value *part)
{
	bool ok = ps_value_get_bool(part, "ok", false);
	double uptime = ps_value_as_real(ps_value_get(part, "uptime"), -1);
	const struct ps_value *warnings = ps_value_get(part, "warnings");
	const char *note = ps_value_get_string(part, "reason", NULL);
	char text[PS_HUMAN_TEXT];
	int64_t pid;

	ps_table_row(t);
	ps_table_cell(t, PS_STYLE_PLAIN, name);
	ps_table_cell(t, ok ? PS_STYLE_GOOD : PS_STYLE_BAD, ok ? "ok" : "down");
	if (ps_value_is_integer(ps_value_get(part, "pid"), &pid))
		ps_table_cellf(t, PS_STYLE_PLAIN, "%" PRId64, pid);
	else
		ps_table_cell(t, PS_STYLE_DIM, "-");
	ps_table_cell(t, PS_STYLE_PLAIN, uptime >= 0 ? ps_human_span(uptime, text) : "-");
	if (!note)
		note = ps_value_as_string(ps_value_at(warnings, 0), "");
	ps_table_cell(t, ok ? PS_STYLE_WARN : PS_STYLE_PLAIN, note);
}

/* "eth0 (native XDP, egress tcx), eth1 (not attached)" */
static void add_interfaces(struct ps_buf *out, const struct ps_value *list)
{
	ps_buf_adds(out, "Interfaces   ");
	for (size_t i = 0; i < ps_value_count(list); i++) {
		const struct ps_value *v = ps_value_at(list, i);
		const char *egress = ps_value_get_string(v, "egress", "none");

		ps_buf_adds(out, i ? ", " : "");
		ps_style_add(out, PS_STYLE_PLAIN, false, ps_value_get_string(v, "name", "?"));
		if (!ps_value_get_bool(v, "attached", false)) {
			ps_style_add(out, PS_STYLE_BAD, ps_cli_colour(), " (not attached)");
			continue;
		}
		ps_buf_adds(out, " (");
		ps_style_add(out, PS_STYLE_PLAIN, false, ps_value_get_string(v, "mode", "?"));
		ps_buf_adds(out, strcmp(egress, "none") == 0 ? " XDP, ingress only" : " XDP, egress ");
		if (strcmp(egress, "none") != 0)
			ps_style_add(out, PS_STYLE_PLAIN, false, egress);
		ps_buf_addc(out, ')');
	}
	ps_buf_adds(out, ps_value_count(list) ? "\n" : "none\n");
}

static void add_stats(struct ps_buf *out, const struct ps_value *stats)
{
	const struct ps_value *table = ps_value_get(stats, "table"), *rules = ps_value_get(stats, "rules");
	const struct ps_value *rates = ps_value_get(stats, "rates");
	char a[PS_HUMAN_TEXT], b[PS_HUMAN_TEXT];

	add_interfaces(out, ps_value_get(stats, "interfaces"));
	ps_buf_addf(out, "Traffic      %s packets/s, %s; %s packets in all, %s dropped by rules\n",
		ps_human_count((uint64_t)ps_value_as_real(ps_value_get(rates, "packets"), 0), a),
		ps_human_rate(ps_value_as_real(ps_value_get(rates, "bytes"), 0) * 8, "bit/s", b),
		ps_human_count(ps_value_get_uint(stats, "TotalPackets", 0), (char[PS_HUMAN_TEXT]){0}),
		ps_human_count(ps_value_get_uint(stats, "DroppedPackets", 0), (char[PS_HUMAN_TEXT]){0}));
	ps_buf_addf(out, "Connections  %s of %s (%.1f %% of the table)\n",
		ps_human_count(ps_value_get_uint(table, "used", 0), a),
		ps_human_count(ps_value_get_uint(table, "max_connections", 0), b),
		ps_value_as_real(ps_value_get(table, "fill"), 0) * 100);
	ps_buf_addf(out, "Rules        %" PRIu64 ", %" PRIu64 " of them enabled\n",
		ps_value_get_uint(rules, "rules", 0), ps_value_get_uint(rules, "enabled", 0));
}

static int status_text(
	const struct ps_value *health, const struct ps_value *stats, const struct ps_error *err, int code)
{
	_cleanup_(ps_table_free) struct ps_table *t = ps_table_new();
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;
	const struct ps_value *parts = ps_value_get(health, "parts");

	ps_table_column(t, "PART", false);
	ps_table_column(t, "STATE", false);
	ps_table_column(t, "PID", true);
	ps_table_column(t, "UPTIME", true);
	ps_table_column(t, "NOTE", false);
	for (size_t i = 0; i < ps_value_count(parts); i++)
		add_part(t, ps_value_key_at(parts, i), ps_value_at(parts, i));
	if (ps_table_render(t, ps_cli_colour(), &out) < 0)
		out.error = -ENOMEM;
	ps_buf_addc(&out, '\n');
	if (stats)
		add_stats(&out, stats);
	else
		ps_buf_addf(&out, "No counters: %s\n", err->message);
	return ps_cli_print(&out, code);
}

/* The health report with table, rules and interfaces beside it. */
static int status_json(struct ps_value *health, const struct ps_value *stats, int code)
{
	static const char *const taken[] = {"interfaces", "table", "rules", "rates"};
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;

	for (size_t i = 0; i < PS_ARRAY_SIZE(taken); i++) {
		const struct ps_value *v = ps_value_get(stats, taken[i]);

		if (v && ps_value_set(health, taken[i], ps_value_copy(v)) < 0)
			out.error = -ENOMEM;
	}
	ps_json_write(&out, health);
	ps_buf_addc(&out, '\n');
	return ps_cli_print(&out, code);
}

int ps_verb_status(const struct ps_settings *s, int n, char **operands)
{
	_cleanup_(ps_fetch_free) struct ps_fetch *client = NULL;
	_cleanup_(ps_value_free) struct ps_value *health = NULL, *stats = NULL;
	struct ps_error err = {0};
	int code;

	(void)operands;
	if (n > 0)
		return ps_cli_usage("status", "takes no operands");
	if (ps_api_open(s, &client, &err) < 0)
		return ps_cli_fail(&err), PS_EXIT_USAGE;
	if (get_health(client, &health, &err) < 0)
		return ps_cli_fail(&err);
	(void)ps_api_get(client, "/api/stats", &stats, &err);
	code = strcmp(ps_value_get_string(health, "status", ""), "ok") == 0 ? PS_EXIT_OK : PS_EXIT_FAILED;
	return s->json ? status_json(health, stats, code) : status_text(health, stats, &err, code);
}

/* A line for each number, its path with dots. A list shows its members that are not 0. */
static void add_counters(struct ps_table *t, const char *path, const struct ps_value *v)
{
	char deeper[160], text[PS_HUMAN_TEXT];
	enum ps_value_kind kind = ps_value_kind(v);

	if (kind == PS_VALUE_MAP || kind == PS_VALUE_LIST) {
		for (size_t i = 0; i < ps_value_count(v); i++) {
			const struct ps_value *member = ps_value_at(v, i);

			if (kind == PS_VALUE_LIST && ps_value_as_uint(member, 1) == 0)
				continue;
			if (kind == PS_VALUE_MAP)
				(void)snprintf(deeper, sizeof(deeper), "%s%s%s", path, *path ? "." : "",
					ps_value_key_at(v, i));
			else
				(void)snprintf(deeper, sizeof(deeper), "%s[%zu]", path, i);
			add_counters(t, deeper, member);
		}
		return;
	}
	ps_table_row(t);
	ps_table_cell(t, PS_STYLE_PLAIN, path);
	if (kind == PS_VALUE_INT || kind == PS_VALUE_UINT)
		ps_table_cell(t, PS_STYLE_PLAIN, ps_human_count(ps_value_as_uint(v, 0), text));
	else if (kind == PS_VALUE_REAL)
		ps_table_cellf(t, PS_STYLE_PLAIN, "%.2f", ps_value_as_real(v, 0));
	else if (kind == PS_VALUE_BOOL)
		ps_table_cell(t, PS_STYLE_PLAIN, ps_value_as_bool(v, false) ? "yes" : "no");
	else
		ps_table_cell(t, PS_STYLE_PLAIN, ps_value_as_string(v, "-"));
}

int ps_verb_stats(const struct ps_settings *s, int n, char **operands)
{
	_cleanup_(ps_fetch_free) struct ps_fetch *client = NULL;
	_cleanup_(ps_fetch_reply_free) struct ps_fetch_reply reply = {0};
	_cleanup_(ps_value_free) struct ps_value *stats = NULL;
	_cleanup_(ps_table_free) struct ps_table *t = ps_table_new();
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;
	struct ps_error err = {0};

	(void)operands;
	if (n > 0)
		return ps_cli_usage("stats", "takes no operands");
	if (ps_api_open(s, &client, &err) < 0)
		return ps_cli_fail(&err), PS_EXIT_USAGE;
	if (ps_api_call(client, "GET", "/api/stats", NULL, &reply, &err) < 0)
		return ps_cli_fail(&err);
	if (s->json)
		return ps_cli_print(&reply.body, PS_EXIT_OK);
	if (ps_json_parse((const char *)reply.body.data, reply.body.len, &stats, &err) < 0)
		return ps_cli_fail(&err);
	ps_table_column(t, "COUNTER", false);
	ps_table_column(t, "VALUE", true);
	add_counters(t, "", stats);
	if (ps_table_render(t, ps_cli_colour(), &out) < 0)
		out.error = -ENOMEM;
	return ps_cli_print(&out, PS_EXIT_OK);
}
