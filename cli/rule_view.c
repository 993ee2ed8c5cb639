#include "cli/rule_view.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "cli/human.h"
#include "cli/table.h"
#include "common/base/cleanup.h"
#include "common/model/rule_fields.h"

/* --- One rule in few words ------------------------------------------------------------------- */

/* Fields that say which packets: what stands under MATCH. */
static bool tells_match(enum ps_rule_kind kind)
{
	return kind == PS_RF_NET || kind == PS_RF_PORTS || kind == PS_RF_FLAGS || kind == PS_RF_ICMP ||
	       kind == PS_RF_INNER_PROTO;
}

static bool says_any(enum ps_rule_kind kind, const struct ps_value *v)
{
	const char *word = ps_value_as_string(v, NULL);

	if (word)
		return strcmp(word, "any") == 0 || !*word;
	return ps_value_as_int(v, -1) == (kind == PS_RF_ICMP ? PS_RULE_ICMP_ANY : 0);
}

/* "dst_port=22,80 src_ip=10.0.0.0/8" */
static void add_match(const struct ps_value *rule, struct ps_buf *out)
{
	int64_t mask = ps_value_get_int(rule, "tcp_flags_mask", 0);
	size_t start = out->len;

	for (size_t i = 0; i < PS_RULE_N_FIELDS; i++) {
		const struct ps_rule_field *f = &ps_rule_fields[i];
		const struct ps_value *v = ps_value_get(rule, f->name);
		bool tested = f->kind == PS_RF_FLAGS ? mask != 0 : v && !says_any(f->kind, v);

		if (!tells_match(f->kind) || !v || !tested)
			continue;
		ps_buf_adds(out, out->len > start ? " " : "");
		if (ps_value_as_string(v, NULL))
			ps_buf_addf(out, "%s=%s", f->name, ps_value_as_string(v, ""));
		else
			ps_buf_addf(out, "%s=%" PRId64, f->name, ps_value_as_int(v, 0));
	}
	if (out->len == start)
		ps_buf_adds(out, "everything");
}

static const char *state_of(const struct ps_value *rule, enum ps_style *ret_style)
{
	*ret_style = PS_STYLE_DIM;
	if (ps_value_get_bool(rule, "expired", false))
		return "expired";
	if (!ps_value_get_bool(rule, "enabled", false))
		return "off";
	*ret_style = PS_STYLE_WARN;
	if (ps_value_kind(ps_value_get(rule, "confirm_by")) == PS_VALUE_STRING)
		return "unconfirmed";
	if (strcmp(ps_value_get_string(rule, "mode", ""), "shadow") == 0)
		return "shadow";
	*ret_style = PS_STYLE_GOOD;
	return "on";
}

/* "drop", "allow", "drop >100/s". */
static void add_action(const struct ps_value *rule, struct ps_buf *out)
{
	int64_t rate = ps_value_get_int(rule, "rate_limit", 0);

	ps_buf_adds(out, ps_value_get_string(rule, "action", ""));
	if (rate > 0)
		ps_buf_addf(out, " >%" PRId64 "/s", rate);
}

static void add_protocol(const struct ps_value *rule, struct ps_buf *out)
{
	const struct ps_value *v = ps_value_get(rule, "protocol");

	if (ps_value_kind(v) == PS_VALUE_STRING)
		ps_buf_adds(out, ps_value_as_string(v, ""));
	else
		ps_buf_addf(out, "%" PRId64, ps_value_as_int(v, 0));
}

/* --- The table ------------------------------------------------------------------------------- */

static const char *text_of(
	void (*add)(const struct ps_value *, struct ps_buf *), const struct ps_value *rule, struct ps_buf *buf)
{
	ps_buf_reset(buf);
	add(rule, buf);
	return ps_buf_str(buf) ? ps_buf_str(buf) : "";
}

static void add_row(struct ps_table *t, const struct ps_value *rule)
{
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;
	char number[PS_HUMAN_TEXT], bytes[PS_HUMAN_TEXT], span[PS_HUMAN_TEXT];
	bool drop = strcmp(ps_value_get_string(rule, "action", ""), "drop") == 0;
	enum ps_style style;
	const char *state = state_of(rule, &style);
	int64_t ttl = ps_value_get_int(rule, "ttl", 0);

	ps_table_row(t);
	ps_table_cellf(t, PS_STYLE_PLAIN, "%" PRId64, ps_value_get_int(rule, "id", -1));
	ps_table_cell(t, style, state);
	ps_table_cell(t,
		style == PS_STYLE_DIM ? style
		: drop                ? PS_STYLE_BAD
				      : PS_STYLE_GOOD,
		text_of(add_action, rule, &text));
	ps_table_cell(t, PS_STYLE_PLAIN, ps_value_get_string(rule, "direction", ""));
	ps_table_cellf(t, PS_STYLE_PLAIN, "%" PRId64, ps_value_get_int(rule, "priority", 0));
	ps_table_cell(t, PS_STYLE_PLAIN, text_of(add_protocol, rule, &text));
	ps_table_cell(t, PS_STYLE_PLAIN, text_of(add_match, rule, &text));
	ps_table_cell(t, PS_STYLE_PLAIN, ps_human_count(ps_value_get_uint(rule, "packets", 0), number));
	ps_table_cell(t, PS_STYLE_PLAIN, ps_human_bytes(ps_value_get_uint(rule, "bytes", 0), bytes));
	ps_table_cell(t, PS_STYLE_PLAIN, ttl > 0 ? ps_human_span((double)ttl, span) : "");
	ps_table_cell(t, PS_STYLE_PLAIN, ps_value_get_string(rule, "comment", ""));
}

void ps_rule_view_warnings(const struct ps_value *list, bool colour, struct ps_buf *out)
{
	for (size_t k = 0; k < ps_value_count(list); k++) {
		ps_style_add(out, PS_STYLE_WARN, colour, "warning: ");
		ps_style_add(out, PS_STYLE_PLAIN, false, ps_value_as_string(ps_value_at(list, k), ""));
		ps_buf_addc(out, '\n');
	}
}

void ps_rule_view_table(const struct ps_value *const *rules, size_t n, size_t width, bool colour, struct ps_buf *out)
{
	static const struct {
		const char *title;
		bool right;
	} columns[] = {{"ID", true}, {"STATE", false}, {"ACTION", false}, {"DIRECTION", false}, {"PRIORITY", true},
		{"PROTOCOL", false}, {"MATCH", false}, {"PACKETS", true}, {"BYTES", true}, {"ENDS IN", true},
		{"COMMENT", false}};
	static const char *const spare[] = {"BYTES", "PRIORITY", "PROTOCOL", NULL}; /* in a narrow terminal */
	_cleanup_(ps_table_free) struct ps_table *t = ps_table_new();

	for (size_t i = 0; i < PS_ARRAY_SIZE(columns); i++)
		ps_table_column(t, columns[i].title, columns[i].right);
	for (size_t i = 0; i < n; i++)
		add_row(t, rules[i]);
	(void)ps_table_fit(t, width, spare);
	if (ps_table_render(t, colour, out) < 0)
		out->error = -ENOMEM;
	for (size_t i = 0; i < n; i++)
		ps_rule_view_warnings(ps_value_get(rules[i], "warnings"), colour, out);
}

/* --- One rule in full ------------------------------------------------------------------------ */

static void line(struct ps_buf *out, bool colour, const char *name, enum ps_style style, const char *text)
{
	char head[16];

	if (!text || !*text)
		return;
	(void)snprintf(head, sizeof(head), "%-11s", name);
	ps_style_add(out, PS_STYLE_HEAD, colour, head);
	ps_style_add(out, style, colour && style != PS_STYLE_PLAIN, text);
	ps_buf_addc(out, '\n');
}

/* "expires_at (in 59m12s)" */
static void add_ends(const struct ps_value *rule, struct ps_buf *out)
{
	const char *at = ps_value_get_string(rule, "expires_at", NULL);
	char span[PS_HUMAN_TEXT];

	if (at)
		ps_buf_addf(out, "%s (%s%s)", at, ps_value_get_bool(rule, "expired", false) ? "has passed" : "in ",
			ps_value_get_bool(rule, "expired", false)
				? ""
				: ps_human_span((double)ps_value_get_int(rule, "ttl", 0), span));
}

static void add_hits(const struct ps_value *rule, struct ps_buf *out)
{
	const char *first = ps_value_get_string(rule, "first_hit", NULL);
	const char *last = ps_value_get_string(rule, "last_hit", NULL);
	char packets[PS_HUMAN_TEXT], bytes[PS_HUMAN_TEXT];

	ps_buf_addf(out, "%s packets, %s", ps_human_count(ps_value_get_uint(rule, "packets", 0), packets),
		ps_human_bytes(ps_value_get_uint(rule, "bytes", 0), bytes));
	if (first && last)
		ps_buf_addf(out, ", first %s, last %s", first, last);
}

void ps_rule_view_one(const struct ps_value *rule, bool colour, struct ps_buf *out)
{
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT, about = PS_BUF_INIT;
	enum ps_style style;
	const char *state = state_of(rule, &style), *confirm = ps_value_get_string(rule, "confirm_by", NULL);
	bool drop = strcmp(ps_value_get_string(rule, "action", ""), "drop") == 0;

	ps_buf_addf(&about, "%" PRId64, ps_value_get_int(rule, "id", -1));
	line(out, colour, "rule", PS_STYLE_PLAIN, ps_value_get_int(rule, "id", -1) < 0 ? "new" : ps_buf_str(&about));
	line(out, colour, "state", style, state);
	line(out, colour, "action", drop ? PS_STYLE_BAD : PS_STYLE_GOOD, text_of(add_action, rule, &text));
	line(out, colour, "direction", PS_STYLE_PLAIN, ps_value_get_string(rule, "direction", ""));
	line(out, colour, "protocol", PS_STYLE_PLAIN, text_of(add_protocol, rule, &text));
	line(out, colour, "match", PS_STYLE_PLAIN, text_of(add_match, rule, &text));
	ps_buf_reset(&about);
	ps_buf_addf(&about, "%" PRId64, ps_value_get_int(rule, "priority", 0));
	line(out, colour, "priority", PS_STYLE_PLAIN, ps_buf_str(&about));
	line(out, colour, "ends", PS_STYLE_PLAIN, text_of(add_ends, rule, &text));
	line(out, colour, "confirm by", PS_STYLE_WARN, confirm);
	line(out, colour, "hits", PS_STYLE_PLAIN, text_of(add_hits, rule, &text));
	line(out, colour, "source", PS_STYLE_PLAIN, ps_value_get_string(rule, "source", ""));
	line(out, colour, "comment", PS_STYLE_PLAIN, ps_value_get_string(rule, "comment", ""));
	ps_rule_view_warnings(ps_value_get(rule, "warnings"), colour, out);
}

/* --- Impact ---------------------------------------------------------------------------------- */

static const char *subject_kind(const char *kind)
{
	static const char *const names[][2] = {{"caller", "your own connection to this API"}, {"ssh", "an SSH session"},
		{"dns", "a DNS server"}, {"gateway", "the default gateway"}, {"protected", "a protected network"}};

	for (size_t i = 0; i < PS_ARRAY_SIZE(names); i++)
		if (strcmp(names[i][0], kind) == 0)
			return names[i][1];
	return kind;
}

void ps_rule_view_guard(const struct ps_value *guard, bool colour, struct ps_buf *out)
{
	for (size_t i = 0; i < ps_value_count(guard); i++) {
		const struct ps_value *g = ps_value_at(guard, i);
		int64_t rule = -1;

		ps_style_add(out, PS_STYLE_BAD, colour, "would cut ");
		ps_style_add(out, PS_STYLE_PLAIN, false, subject_kind(ps_value_get_string(g, "kind", "")));
		ps_buf_adds(out, ": ");
		ps_style_add(out, PS_STYLE_PLAIN, false, ps_value_get_string(g, "subject", ""));
		if (ps_value_is_integer(ps_value_get(g, "rule_id"), &rule))
			ps_buf_addf(out, " (rule %" PRId64 ")", rule);
		ps_buf_addc(out, '\n');
	}
}

void ps_rule_view_impact(const struct ps_value *impact, bool colour, struct ps_buf *out)
{
	uint64_t live = ps_value_get_uint(impact, "live", 0), ended = ps_value_get_uint(impact, "ended", 0);
	uint64_t icmp = ps_value_get_uint(impact, "icmp", 0), cut = ps_value_get_uint(impact, "newly_dropped", 0);
	const struct ps_value *connections = ps_value_get(impact, "connections");
	char a[PS_HUMAN_TEXT], b[PS_HUMAN_TEXT];

	if (ps_value_kind(impact) != PS_VALUE_MAP)
		return;
	ps_buf_addf(out, "hits %s live and %s ended connections of the last 10 minutes", ps_human_count(live, a),
		ps_human_count(ended, b));
	if (icmp)
		ps_buf_addf(out, ", %s ICMP flows", ps_human_count(icmp, a));
	ps_buf_addf(out, ": %s packets, %s\n", ps_human_count(ps_value_get_uint(impact, "packets", 0), a),
		ps_human_bytes(ps_value_get_uint(impact, "bytes", 0), b));
	if (cut)
		ps_buf_addf(out, "%s connections that pass now would be cut\n", ps_human_count(cut, a));
	for (size_t i = 0; i < ps_value_count(connections); i++) {
		ps_buf_adds(out, i ? " " : "connections: ");
		ps_style_add(out, PS_STYLE_DIM, colour, ps_value_as_string(ps_value_at(connections, i), ""));
	}
	if (ps_value_count(connections))
		ps_buf_addc(out, '\n');
	ps_rule_view_guard(ps_value_get(impact, "guard"), colour, out);
	ps_rule_view_warnings(ps_value_get(impact, "warnings"), colour, out);
}

const char *ps_rule_view_remedy(const char *code)
{
	static const char *const remedies[][2] = {
		{"lockout", "To do it all the same, add --force; with a way back: --force --confirm-within 60.\n"},
		{"confirm_pending",
			"`packetscope filters confirm` keeps the change that is waiting; left alone, it undoes "
			"itself at its deadline.\n"},
		{"stale", "Someone changed it meanwhile: look at it again with `packetscope filters list`.\n"},
		{"not_found", "`packetscope filters list` shows the rules that there are.\n"},
		{"rules_full",
			"`packetscope filters list` shows what could go; networks (CIDR) say more in fewer rules.\n"},
	};

	for (size_t i = 0; i < PS_ARRAY_SIZE(remedies); i++)
		if (strcmp(remedies[i][0], code) == 0)
			return remedies[i][1];
	return "";
}
