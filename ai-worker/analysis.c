#include "ai-worker/analysis.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ai-worker/figures.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/model/record.h"

/* What is being written. Failures are sticky in the buffer and in `failed`. */
struct report {
	const struct ps_analysis_input *in;
	struct ps_figures f;
	struct ps_buf text;
	struct ps_value *suggestions, *figures;
	bool failed;
};

static double share(uint64_t part, uint64_t whole)
{
	return whole > 0 ? (double)part / (double)whole : 0;
}

static void suggest(struct report *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void suggest(struct report *r, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	r->failed |= ps_value_append(r->suggestions, ps_value_string(text)) < 0;
}

static void put(struct report *r, struct ps_value *map, const char *key, struct ps_value *v)
{
	r->failed |= ps_value_set(map, key, v) < 0;
}

/* "192.0.2.1", "[2001:db8::1]:443 (tcp)" */
static const char *name_of(const struct ps_figure_row *row, char *buf, size_t size)
{
	char addr[PS_ADDR_TEXT], proto[8];

	(void)ps_addr_format(&row->addr, addr);
	if (row->proto == 0)
		(void)snprintf(buf, size, "%s", addr);
	else
		(void)snprintf(buf, size, row->addr.family == 6 ? "[%s]:%u (%s)" : "%s:%u (%s)", addr, row->port,
			ps_proto_name(row->proto, proto));
	return buf;
}

static struct ps_value *row_value(const struct ps_figure_row *row)
{
	_cleanup_(ps_value_free) struct ps_value *v = ps_value_map();
	char addr[PS_ADDR_TEXT], proto[8];
	int r = ps_value_set(v, "ip", ps_value_string(ps_addr_format(&row->addr, addr)));

	if (row->proto) {
		r |= ps_value_set(v, "proto", ps_value_string(ps_proto_name(row->proto, proto)));
		r |= ps_value_set(v, "port", ps_value_int(row->port));
	}
	r |= ps_value_set(v, "connections", ps_value_uint(row->connections));
	r |= ps_value_set(v, "packets", ps_value_uint(row->packets));
	r |= ps_value_set(v, "bytes", ps_value_uint(row->bytes));
	return r ? NULL : PS_TAKE(v);
}

/* A list of rows, in the text and in the figures. */
static void add_rows(struct report *r, const char *key, const char *title, const struct ps_figure_row *rows, size_t n)
{
	struct ps_value *list = ps_value_list();
	char name[96];

	if (n > 0)
		ps_buf_addf(&r->text, "%s: ", title);
	for (size_t i = 0; i < n; i++) {
		ps_buf_addf(&r->text, "%s%s with %" PRIu64 " bytes in %" PRIu64 " connection%s", i ? "; " : "",
			name_of(&rows[i], name, sizeof(name)), rows[i].bytes, rows[i].connections,
			rows[i].connections == 1 ? "" : "s");
		r->failed |= ps_value_append(list, row_value(&rows[i])) < 0;
	}
	if (n > 0)
		ps_buf_adds(&r->text, ".\n");
	put(r, r->figures, key, list);
}

/* --- connections --------------------------------------------------------------------------------- */

static void add_states(struct report *r)
{
	struct ps_value *states = ps_value_map();
	bool first = true;

	for (size_t i = 0; i < PS_ARRAY_SIZE(r->f.by_state); i++) {
		const char *word = ps_enum_name(PS_KIND_STATE, (unsigned)i);

		if (r->f.by_state[i] == 0)
			continue;
		if (!word)
			word = "unknown";
		ps_buf_addf(&r->text, "%s%zu %s", first ? "States: " : ", ", r->f.by_state[i], word);
		put(r, states, word, ps_value_uint(r->f.by_state[i]));
		first = false;
	}
	if (!first)
		ps_buf_adds(&r->text, ".\n");
	put(r, r->figures, "by_state", states);
}

static void add_connections(struct report *r)
{
	const struct ps_figures *f = &r->f;
	double half_open = share(f->half_open, f->tcp);

	ps_buf_addf(&r->text,
		"%zu connection%s, %zu TCP and %zu UDP, with %" PRIu64 " packets and %" PRIu64
		" bytes in both directions.\n",
		f->connections, f->connections == 1 ? "" : "s", f->tcp, f->udp, f->packets, f->bytes);
	put(r, r->figures, "connections", ps_value_uint(f->connections));
	put(r, r->figures, "tcp", ps_value_uint(f->tcp));
	put(r, r->figures, "udp", ps_value_uint(f->udp));
	put(r, r->figures, "packets", ps_value_uint(f->packets));
	put(r, r->figures, "bytes", ps_value_uint(f->bytes));
	put(r, r->figures, "half_open", ps_value_uint(f->half_open));
	put(r, r->figures, "half_open_share", ps_value_real(half_open));
	put(r, r->figures, "unreplied_udp", ps_value_uint(f->unreplied));
	put(r, r->figures, "dropped_packets", ps_value_uint(f->dropped_packets));
	add_states(r);
	if (f->tcp > 0)
		ps_buf_addf(&r->text, "%zu of %zu TCP connections are half-open (%.1f %%).\n", f->half_open, f->tcp,
			half_open * 100);
	if (f->unreplied > 0)
		ps_buf_addf(&r->text, "%zu of %zu UDP connections have no answer.\n", f->unreplied, f->udp);
	if (f->dropped_packets > 0)
		ps_buf_addf(&r->text, "Rules dropped %" PRIu64 " packets of these connections.\n", f->dropped_packets);
	add_rows(r, "talkers", "Who sends and receives most", f->talkers, f->n_talkers);
	add_rows(r, "services", "What is used most", f->services, f->n_services);

	if (f->half_open >= PS_AI_HALF_OPEN_MIN && half_open >= PS_AI_HALF_OPEN_SHARE)
		suggest(r,
			"%zu TCP connections wait for their handshake (%.0f %%): look at who opens them (packetscope "
			"conns --state syn_sent); "
			"many sources to one port are typical of a SYN flood, one source to many ports of a scan.",
			f->half_open, half_open * 100);
	if (f->n_talkers > 0 && f->all_talkers > 1 && f->bytes >= PS_AI_TALKER_MIN_BYTES &&
		share(f->talkers[0].bytes, f->bytes) >= PS_AI_TALKER_SHARE) {
		char name[96];

		suggest(r, "%s accounts for %.0f %% of the bytes; if that is not expected, look at its connections.",
			name_of(&f->talkers[0], name, sizeof(name)), share(f->talkers[0].bytes, f->bytes) * 100);
	}
}

/* --- quality ------------------------------------------------------------------------------------- */

static void add_worst(struct report *r)
{
	struct ps_value *list = ps_value_list();
	char key[PS_KEY_TEXT], id[24];

	for (size_t i = 0; i < r->f.n_worst; i++) {
		const struct ps_conn *c = r->f.worst[i];
		uint64_t again = (uint64_t)c->orig_retrans_packets + c->resp_retrans_packets;
		uint64_t packets = c->orig_packets + c->resp_packets;
		struct ps_value *v = ps_value_map();

		(void)ps_conn_key(c, key);
		(void)snprintf(id, sizeof(id), "%016" PRIx64, c->id);
		ps_buf_addf(&r->text, "%s%s with %" PRIu64 " of %" PRIu64 " packets (%.1f %%)",
			i ? "; " : "Sent again most: ", key, again, packets, share(again, packets) * 100);
		put(r, v, "id", ps_value_string(id));
		put(r, v, "key", ps_value_string(key));
		put(r, v, "retrans_packets", ps_value_uint(again));
		put(r, v, "packets", ps_value_uint(packets));
		r->failed |= ps_value_append(list, v) < 0;
	}
	if (r->f.n_worst > 0)
		ps_buf_adds(&r->text, ".\n");
	put(r, r->figures, "worst", list);
}

static void add_quality(struct report *r)
{
	const struct ps_figures *f = &r->f;
	double retrans = share(f->retrans_packets, f->tcp_packets);

	if (f->tcp == 0)
		return;
	ps_buf_addf(&r->text,
		"\n%" PRIu64 " of %" PRIu64 " TCP packets were sent again (%.2f %%), %" PRIu64
		" came out of order, windows were closed %" PRIu64 " times.\n",
		f->retrans_packets, f->tcp_packets, retrans * 100, f->out_of_order, f->zero_windows);
	if (f->rtt_known > 0)
		ps_buf_addf(&r->text, "Round-trip time: median %.2f ms, longest %.2f ms, known for %zu connections.\n",
			f->rtt_median_us / 1e3, f->rtt_max_us / 1e3, f->rtt_known);
	put(r, r->figures, "retrans_packets", ps_value_uint(f->retrans_packets));
	put(r, r->figures, "retrans_share", ps_value_real(retrans));
	put(r, r->figures, "rtt_median_us", ps_value_uint(f->rtt_median_us));
	add_worst(r);
	if (f->tcp_packets >= PS_AI_RETRANS_MIN_PACKETS && retrans >= PS_AI_RETRANS_SHARE)
		suggest(r,
			"%.1f %% of the TCP packets are sent again: check the path of the connections named above for "
			"loss.",
			retrans * 100);
	if (f->zero_windows > 0)
		suggest(r,
			"A receiver closed its window %" PRIu64
			" times: it reads more slowly than the network delivers.",
			f->zero_windows);
}

/* --- counters ------------------------------------------------------------------------------------ */

static void add_stats(struct report *r)
{
	const struct ps_value *stats = r->in->stats, *rates = ps_value_get(stats, "rates"),
			      *table = ps_value_get(stats, "table");
	const struct ps_value *counters = ps_value_get(stats, "counters");
	uint64_t packets = ps_value_get_uint(stats, "TotalPackets", 0),
		 dropped = ps_value_get_uint(stats, "DroppedPackets", 0);
	uint64_t malformed = ps_value_get_uint(stats, "MalformedPackets", 0),
		 untracked = ps_value_get_uint(counters, "untracked", 0);
	double fill = ps_value_as_real(ps_value_get(table, "fill"), 0);

	if (!stats)
		return;
	ps_buf_addf(&r->text, "\nNow %.0f packets and %.0f bytes a second, %.1f new connections a second.\n",
		ps_value_as_real(ps_value_get(rates, "packets"), 0), ps_value_as_real(ps_value_get(rates, "bytes"), 0),
		ps_value_as_real(ps_value_get(rates, "conns_new"), 0));
	ps_buf_addf(&r->text,
		"Since the kernel part was loaded: %" PRIu64 " packets, %" PRIu64
		" dropped by rules (%.2f %%), %" PRIu64 " malformed, %" PRIu64
		" without a place in the table, which is %.1f %% full.\n",
		packets, dropped, share(dropped, packets) * 100, malformed, untracked, fill * 100);
	if (fill >= PS_AI_TABLE_FILL)
		suggest(r, "The connection table is %.0f %% full: start with a larger --max-connections.", fill * 100);
	else if (untracked > 0)
		suggest(r,
			"%" PRIu64 " packets found no place in the connection table; if that goes on, use a larger "
			"--max-connections.",
			untracked);
	if (malformed > 0)
		suggest(r, "%" PRIu64 " packets were malformed; `packetscope stats` shows in which header.", malformed);
}

static void add_icmp(struct report *r)
{
	static const struct {
		uint8_t type;
		bool error;
		const char *name;
	} known[] = {{0, false, "echo replies"}, {3, true, "destination unreachable"}, {4, true, "source quench"},
		{5, true, "redirects"}, {8, false, "echo requests"}, {11, true, "time exceeded"},
		{12, true, "parameter problems"}};
	const struct ps_value *types = ps_value_get(r->in->stats, "ICMPTypeCounts"),
			      *counters = ps_value_get(r->in->stats, "counters");
	uint64_t all = ps_value_get_uint(counters, "icmp_packets", 0), errors = 0, four = 0;
	struct ps_value *mix;

	if (!r->in->stats)
		return;
	mix = ps_value_map();
	ps_buf_addf(&r->text, "\n%" PRIu64 " ICMP and ICMPv6 messages", all);
	for (size_t i = 0; i < ps_value_count(types); i++) {
		uint64_t n = ps_value_as_uint(ps_value_at(types, i), 0);

		four += n;
		for (size_t k = 0; n > 0 && k < PS_ARRAY_SIZE(known); k++) {
			if (known[k].type != i)
				continue;
			ps_buf_addf(&r->text, ", %" PRIu64 " %s", n, known[k].name);
			put(r, mix, known[k].name, ps_value_uint(n));
			errors += known[k].error ? n : 0;
		}
	}
	ps_buf_adds(&r->text, ".\n");
	put(r, r->figures, "icmp", mix);
	if (four >= PS_AI_ICMP_MIN && share(errors, four) >= PS_AI_ICMP_ERRORS_SHARE)
		suggest(r,
			"%.0f %% of the ICMP messages are errors: `packetscope icmp` shows which packets they quote.",
			share(errors, four) * 100);
}

/* --- the whole ----------------------------------------------------------------------------------- */

static struct ps_value *refusal(const char *reason)
{
	_cleanup_(ps_value_free) struct ps_value *v = ps_value_map();
	int r = ps_value_set(v, "success", ps_value_bool(false));

	r |= ps_value_set(v, "engine", ps_value_string("local"));
	r |= ps_value_set(v, "error", ps_value_string(reason));
	return r ? NULL : PS_TAKE(v);
}

static void write_summary(const struct report *r, char *buf, size_t size)
{
	const struct ps_figures *f = &r->f;
	size_t suggestions = ps_value_count(r->suggestions);
	int n = snprintf(buf, size,
		"%zu connection%s (%zu TCP, %zu UDP), %" PRIu64
		" bytes; %.2f %% of TCP packets sent again, %zu half-open",
		f->connections, f->connections == 1 ? "" : "s", f->tcp, f->udp, f->bytes,
		share(f->retrans_packets, f->tcp_packets) * 100, f->half_open);

	if (n < 0 || (size_t)n >= size)
		return;
	if (suggestions == 0)
		(void)snprintf(buf + n, size - (size_t)n, ". Nothing stands out.");
	else
		(void)snprintf(buf + n, size - (size_t)n, ". %zu thing%s to look at.", suggestions,
			suggestions == 1 ? "" : "s");
}

/* Connections of the kinds that were asked for. */
static struct ps_conn *chosen(const struct ps_analysis_input *in, size_t *ret_n)
{
	struct ps_conn *conns = calloc(PS_MAX(in->n_conns, (size_t)1), sizeof(*conns));
	size_t n = 0;

	for (size_t i = 0; conns && i < in->n_conns; i++) {
		if (in->include_tcp || in->conns[i].proto != IPPROTO_TCP)
			conns[n++] = in->conns[i];
	}
	*ret_n = n;
	return conns;
}

static struct ps_value *finish(struct report *r)
{
	_cleanup_(ps_value_free) struct ps_value *v = ps_value_map();
	char summary[256];

	write_summary(r, summary, sizeof(summary));
	put(r, v, "success", ps_value_bool(true));
	put(r, v, "engine", ps_value_string("local"));
	put(r, v, "summary", ps_value_string(summary));
	put(r, v, "analysis", ps_value_string(ps_buf_str(&r->text)));
	put(r, v, "suggestions", PS_TAKE(r->suggestions));
	put(r, v, "figures", PS_TAKE(r->figures));
	return r->failed || r->text.error ? NULL : PS_TAKE(v);
}

static void report_free(struct report *r)
{
	ps_buf_free(&r->text);
	ps_value_free(&r->suggestions);
	ps_value_free(&r->figures);
}

struct ps_value *ps_analysis(const struct ps_analysis_input *in)
{
	_cleanup_(report_free) struct report r = {.in = in, .suggestions = ps_value_list(), .figures = ps_value_map()};
	_cleanup_free_ struct ps_conn *conns = NULL;
	uint64_t known;
	size_t n;

	if (!in->have_snapshot)
		return refusal("No snapshot of the connections has come from the aggregator yet; one comes every five "
			       "seconds.");
	conns = chosen(in, &n);
	if (!conns || ps_figures_count(conns, n, &r.f) < 0)
		return NULL;
	known = ps_value_get_uint(ps_value_get(in->stats, "table"), "known", in->n_conns);
	if (known > in->n_conns)
		ps_buf_addf(&r.text,
			"Of %" PRIu64 " connections, the %zu that were active last, as of %.0f s ago: ", known,
			in->n_conns, in->snapshot_age);
	else
		ps_buf_addf(&r.text, "As of %.0f s ago: ", in->snapshot_age);
	add_connections(&r);
	if (in->include_tcp)
		add_quality(&r);
	if (in->include_stats)
		add_stats(&r);
	if (in->include_icmp)
		add_icmp(&r);
	return finish(&r);
}
