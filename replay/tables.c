/* See report.h: tables for people. */
#include "replay/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/human.h"
#include "cli/table.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/model/record.h"

#define SUM(c, member) ((c)->orig_##member + (c)->resp_##member)

static void add_columns(struct ps_table *t, const char *const *titles, size_t n, size_t first_right)
{
	for (size_t i = 0; i < n; i++)
		ps_table_column(t, titles[i], i >= first_right);
}

/* "192.0.2.7:80" as in the key, whose text holds both ends. */
static void add_ends(struct ps_table *t, const struct ps_conn *c)
{
	char key[PS_KEY_TEXT];
	char *arrow = strstr(ps_conn_key(c, key), " -> ");
	char *end = strstr(key, " (");

	if (!arrow || !end)
		return;
	*arrow = *end = '\0';
	ps_table_cell(t, PS_STYLE_PLAIN, key);
	ps_table_cell(t, PS_STYLE_PLAIN, arrow + 4);
}

static void add_conn(struct ps_table *t, const struct ps_conn *c)
{
	const char *end = ps_enum_name(PS_KIND_END, c->end_reason);
	char proto[8], text[PS_HUMAN_TEXT];
	bool dropped = c->verdict == PS_VERDICT_DROPPED || SUM(c, dropped_packets);

	ps_table_row(t);
	ps_table_cell(t, PS_STYLE_PLAIN, ps_proto_name(c->proto, proto));
	add_ends(t, c);
	ps_table_cell(t, PS_STYLE_PLAIN, c->conn_state);
	ps_table_cell(t, PS_STYLE_PLAIN, c->history);
	ps_table_cell(t, PS_STYLE_DIM, end ? end : "");
	if (c->rule_id >= 0)
		ps_table_cellf(t, dropped ? PS_STYLE_BAD : PS_STYLE_GOOD, "%s #%d",
			ps_enum_name(PS_KIND_VERDICT, c->verdict), c->rule_id);
	else
		ps_table_cell(t, dropped ? PS_STYLE_BAD : PS_STYLE_DIM, dropped ? "drop" : "");
	ps_table_cell(t, PS_STYLE_PLAIN, ps_human_count(SUM(c, packets), text));
	ps_table_cell(t, PS_STYLE_PLAIN, ps_human_bytes(SUM(c, bytes), text));
	ps_table_cell(t, PS_STYLE_PLAIN, ps_human_span((double)c->duration / (double)PS_NSEC, text));
	ps_table_cellf(t, SUM(c, retrans_packets) ? PS_STYLE_WARN : PS_STYLE_DIM, "%u", SUM(c, retrans_packets));
	if (c->rtt_handshake_us)
		ps_table_cell(t, PS_STYLE_PLAIN, ps_human_span((double)c->rtt_handshake_us / 1e6, text));
}

static int add_conns(const struct ps_replay_report *r, bool colour, struct ps_buf *text)
{
	static const char *const titles[] = {"proto", "originator", "responder", "state", "history", "end", "verdict",
		"packets", "bytes", "duration", "retrans", "rtt"};
	_cleanup_(ps_table_free) struct ps_table *t = ps_table_new();
	size_t n, shown;
	const struct ps_conn *const *conns = ps_pipeline_conns(r->pipeline, &n);
	char all[PS_HUMAN_TEXT];
	int error;

	if (!n)
		return 0;
	add_columns(t, titles, PS_ARRAY_SIZE(titles), 7);
	shown = PS_MIN(n, r->limit);
	for (size_t i = 0; i < shown; i++)
		add_conn(t, conns[i]);
	error = ps_table_render(t, colour, text);
	if (shown < n)
		ps_buf_addf(text, "… the first %zu of %s connections; --limit shows more, --json all\n", shown,
			ps_human_count(n, all));
	ps_buf_addc(text, '\n');
	return error;
}

static int add_icmp(const struct ps_replay_report *r, bool colour, struct ps_buf *text)
{
	static const char *const titles[] = {"icmp", "about", "packets", "bytes", "dropped"};
	_cleanup_(ps_table_free) struct ps_table *t = ps_table_new();
	size_t n;
	const struct ps_icmp *const *icmp = ps_pipeline_icmp(r->pipeline, &n);
	char key[PS_KEY_TEXT], about[PS_KEY_TEXT], number[PS_HUMAN_TEXT];
	int error;

	if (!n)
		return 0;
	add_columns(t, titles, PS_ARRAY_SIZE(titles), 2);
	for (size_t i = 0; i < PS_MIN(n, r->limit); i++) {
		const struct ps_conn inner = {
			.proto = icmp[i]->inner_protocol,
			.src_ip = icmp[i]->inner_src_ip,
			.dst_ip = icmp[i]->inner_dst_ip,
			.src_port = icmp[i]->inner_src_port,
			.dst_port = icmp[i]->inner_dst_port,
		};

		ps_table_row(t);
		ps_table_cell(t, PS_STYLE_PLAIN, ps_icmp_key_text(icmp[i], key));
		ps_table_cell(t, PS_STYLE_DIM, inner.src_ip.family ? ps_conn_key(&inner, about) : "");
		ps_table_cell(t, PS_STYLE_PLAIN, ps_human_count(icmp[i]->packets, number));
		ps_table_cell(t, PS_STYLE_PLAIN, ps_human_bytes(icmp[i]->bytes, number));
		ps_table_cell(t, PS_STYLE_PLAIN, ps_human_count(icmp[i]->dropped_packets, number));
	}
	error = ps_table_render(t, colour, text);
	ps_buf_addc(text, '\n');
	return error;
}

static int add_rules(const struct ps_replay_report *r, bool colour, struct ps_buf *text)
{
	static const char *const titles[] = {"rule", "action", "enabled", "comment", "packets", "bytes"};
	_cleanup_(ps_table_free) struct ps_table *t = ps_table_new();
	char number[PS_HUMAN_TEXT];
	int error;

	if (!r->n_rules)
		return 0;
	add_columns(t, titles, PS_ARRAY_SIZE(titles), 4);
	for (size_t i = 0; i < r->n_rules; i++) {
		_cleanup_(ps_value_free) struct ps_value *v = ps_pipeline_rule(r->pipeline, &r->rules[i]);
		const struct ps_rule *rule = &r->rules[i];
		uint64_t packets = ps_value_get_uint(v, "packets", 0);

		if (!v)
			return -ENOMEM;
		ps_table_row(t);
		ps_table_cellf(t, PS_STYLE_PLAIN, "#%d", rule->id);
		ps_table_cell(t, PS_STYLE_PLAIN, ps_value_get_string(v, "action", ""));
		ps_table_cell(t, PS_STYLE_PLAIN, rule->enabled ? "yes" : "no");
		ps_table_cell(t, PS_STYLE_PLAIN, ps_rule_comment(rule));
		ps_table_cell(t, packets ? PS_STYLE_WARN : PS_STYLE_DIM, ps_human_count(packets, number));
		ps_table_cell(t, PS_STYLE_PLAIN, ps_human_bytes(ps_value_get_uint(v, "bytes", 0), number));
	}
	error = ps_table_render(t, colour, text);
	ps_buf_addc(text, '\n');
	return error;
}

static int add_findings(const struct ps_replay_report *r, bool colour, struct ps_buf *text)
{
	static const char *const titles[] = {"finding", "severity", "source", "target", "what", "count"};
	static const enum ps_style styles[] = {
		[PS_SEVERITY_LOW] = PS_STYLE_PLAIN,
		[PS_SEVERITY_MEDIUM] = PS_STYLE_WARN,
		[PS_SEVERITY_HIGH] = PS_STYLE_BAD,
		[PS_SEVERITY_CRITICAL] = PS_STYLE_BAD,
	};
	_cleanup_(ps_table_free) struct ps_table *t = ps_table_new();
	const struct ps_detect *d = ps_pipeline_detect(r->pipeline);
	char source[PS_ADDR_TEXT], target[PS_FINDING_TARGET_TEXT], number[PS_HUMAN_TEXT];
	int error;

	if (!ps_detect_count(d))
		return 0;
	add_columns(t, titles, PS_ARRAY_SIZE(titles), 5);
	for (size_t i = ps_detect_count(d); i-- > 0;) {
		const struct ps_finding *f = ps_detect_finding(d, i);

		ps_table_row(t);
		ps_table_cell(t, PS_STYLE_PLAIN, ps_finding_kind_name(f->kind));
		ps_table_cell(t, styles[f->severity], ps_severity_name(f->severity));
		ps_table_cell(t, PS_STYLE_PLAIN, f->source.family ? ps_addr_format(&f->source, source) : "many");
		ps_table_cell(t, PS_STYLE_PLAIN, ps_finding_target(&f->target, target));
		ps_table_cell(t, PS_STYLE_PLAIN, f->title);
		ps_table_cell(t, PS_STYLE_PLAIN, ps_human_count(f->count, number));
	}
	error = ps_table_render(t, colour, text);
	ps_buf_addc(text, '\n');
	return error;
}

static void add_summary(const struct ps_replay_report *r, struct ps_buf *text)
{
	const struct ps_stats *s = ps_pipeline_counters(r->pipeline);
	double span = (double)ps_pipeline_span(r->pipeline) / (double)PS_NSEC;
	char a[PS_HUMAN_TEXT], b[PS_HUMAN_TEXT], c[PS_HUMAN_TEXT];
	double seconds = r->counts->seconds;
	size_t conns, icmp;

	(void)ps_pipeline_conns(r->pipeline, &conns);
	(void)ps_pipeline_icmp(r->pipeline, &icmp);
	ps_buf_addf(text, "%s packets, %s in %s", ps_human_count(s->packets, a), ps_human_bytes(s->bytes, b),
		ps_human_span(span, c));
	ps_buf_addf(text, ": %s connections, %s kinds of ICMP", ps_human_count(conns, a), ps_human_count(icmp, b));
	if (s->fragments)
		ps_buf_addf(text, ", %s fragments without ports", ps_human_count(s->fragments, a));
	ps_buf_addf(text, "\nretransmitted %s, out of order %s, duplicate ACKs %s", ps_human_count(s->tcp_retrans, a),
		ps_human_count(s->tcp_out_of_order, b), ps_human_count(s->tcp_dup_acks, c));
	ps_buf_addf(text, ", zero windows %s, dropped %s, malformed %s\n", ps_human_count(s->tcp_zero_windows, a),
		ps_human_count(s->dropped_packets, b),
		ps_human_count(s->malformed_eth + s->malformed_ip + s->malformed_ext + s->malformed_l4, c));
	ps_buf_addf(text, "replayed in %s, %s packets/s\n", ps_human_span(seconds, a),
		ps_human_count(seconds > 0 ? (uint64_t)((double)r->counts->replayed / seconds) : 0, b));
}

int ps_replay_tables(const struct ps_replay_report *r, bool colour, FILE *out)
{
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;
	int error = add_conns(r, colour, &text);

	if (error == 0)
		error = add_icmp(r, colour, &text);
	if (error == 0)
		error = add_rules(r, colour, &text);
	if (error == 0)
		error = add_findings(r, colour, &text);
	if (error < 0)
		return error;
	add_summary(r, &text);
	if (text.error)
		return text.error;
	return fwrite(text.data, 1, text.len, out) != text.len || fflush(out) != 0 ? -EIO : 0;
}
