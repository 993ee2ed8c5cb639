#include "cli/summary.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/human.h"
#include "cli/table.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/codec/json.h"

void ps_reading_take(struct ps_reading *r, const struct ps_value *stats, const struct ps_value *connections,
	uint64_t total, uint64_t now)
{
	size_t count = ps_value_count(connections);

	r->valid = true;
	r->at = now;
	r->packets = ps_value_get_uint(stats, "TotalPackets", 0);
	r->bytes = ps_value_get_uint(stats, "TotalBytes", 0);
	r->dropped = ps_value_get_uint(stats, "DroppedPackets", 0);
	r->retransmitted = ps_value_get_uint(stats, "TCPRetrans", 0);
	r->malformed = ps_value_get_uint(stats, "MalformedPackets", 0);
	r->connections = PS_MAX(total, (uint64_t)count);
	r->n = PS_MIN(count, (size_t)PS_UP_TALKER_CONNS);
	for (size_t i = 0; i < r->n; i++) {
		const struct ps_value *c = ps_value_at(connections, i);
		struct ps_reading_conn *to = &r->conn[i];

		(void)snprintf(to->id, sizeof(to->id), "%s", ps_value_get_string(c, "id", ""));
		(void)snprintf(to->key, sizeof(to->key), "%s", ps_value_get_string(c, "key", ""));
		(void)snprintf(to->state, sizeof(to->state), "%s", ps_value_get_string(c, "state", ""));
		to->duration = ps_value_as_real(ps_value_get(c, "duration"), 0);
		to->bytes = ps_value_get_uint(c, "orig_bytes", 0) + ps_value_get_uint(c, "resp_bytes", 0);
	}
}

static double seconds_between(const struct ps_reading *before, const struct ps_reading *now)
{
	return before && before->valid && now->at > before->at ? (double)(now->at - before->at) / 1e9 : 0;
}

/* Counters do not go backwards, but a kernel part that was made anew begins at zero. */
static uint64_t growth(uint64_t before, uint64_t now)
{
	return now >= before ? now - before : now;
}

static double rate(uint64_t before, uint64_t now, double seconds)
{
	return seconds > 0 ? (double)growth(before, now) / seconds : 0;
}

struct talker {
	const struct ps_reading_conn *conn;
	double bits; /* per second */
};

/* What it sent in the interval. One that was not among the readings before counts whole if it is young, else by its
 * average. */
static double talker_bits(const struct ps_reading *before, const struct ps_reading_conn *c, double seconds)
{
	for (size_t i = 0; seconds > 0 && i < before->n; i++) {
		if (strcmp(before->conn[i].id, c->id) == 0)
			return rate(before->conn[i].bytes, c->bytes, seconds) * 8;
	}
	return (double)c->bytes * 8 / PS_MAX(c->duration, seconds > 0 ? seconds : 1);
}

static size_t top_talkers(
	const struct ps_reading *before, const struct ps_reading *now, struct talker top[static PS_UP_TALKERS])
{
	double seconds = seconds_between(before, now);
	size_t n = 0;

	for (size_t i = 0; i < now->n; i++) {
		struct talker t = {&now->conn[i], talker_bits(before, &now->conn[i], seconds)};
		size_t at;

		if (t.bits < 1)
			continue;
		for (at = n; at > 0 && top[at - 1].bits < t.bits; at--) {
			if (at < PS_UP_TALKERS)
				top[at] = top[at - 1];
		}
		if (at < PS_UP_TALKERS)
			top[at] = t;
		n = PS_MIN(n + 1, (size_t)PS_UP_TALKERS);
	}
	return n;
}

static void add_clock(struct ps_buf *out, uint64_t wall, bool colour)
{
	time_t t = (time_t)(wall / PS_NSEC);
	struct tm tm;
	char text[16];

	(void)localtime_r(&t, &tm);
	(void)strftime(text, sizeof(text), "%H:%M:%S", &tm);
	ps_style_add(out, PS_STYLE_HEAD, colour, text);
}

/* "dropped 12 (+3)": the sum, and what the interval added, if anything. */
static void add_count(struct ps_buf *out, const char *name, uint64_t before, uint64_t now, bool since, bool colour)
{
	uint64_t more = since ? growth(before, now) : 0;
	char text[PS_HUMAN_TEXT], line[96];

	(void)snprintf(line, sizeof(line), "%s %s", name, ps_human_count(now, text));
	ps_buf_adds(out, "   ");
	if (more == 0) {
		ps_buf_adds(out, line);
		return;
	}
	(void)snprintf(line + strlen(line), sizeof(line) - strlen(line), " (+%s)", ps_human_count(more, text));
	ps_style_add(out, PS_STYLE_WARN, colour, line);
}

void ps_summary_text(
	const struct ps_reading *before, const struct ps_reading *now, uint64_t wall, bool colour, struct ps_buf *out)
{
	static const struct ps_reading none;
	const struct ps_reading *b = before && before->valid ? before : &none;
	_cleanup_(ps_table_free) struct ps_table *t = NULL;
	_cleanup_(ps_buf_free) struct ps_buf rows = PS_BUF_INIT;
	double seconds = seconds_between(before, now);
	struct talker top[PS_UP_TALKERS];
	size_t n = top_talkers(b, now, top);
	char text[PS_HUMAN_TEXT];

	add_clock(out, wall, colour);
	ps_buf_addf(out, "  %s connections", ps_human_count(now->connections, text));
	if (seconds > 0) {
		ps_buf_addf(out, "   %s packets/s",
			ps_human_count((uint64_t)(rate(b->packets, now->packets, seconds) + 0.5), text));
		ps_buf_addf(out, "   %s", ps_human_rate(rate(b->bytes, now->bytes, seconds) * 8, "bit/s", text));
	} else {
		ps_buf_addf(out, "   %s packets", ps_human_count(now->packets, text));
		ps_buf_addf(out, "   %s", ps_human_bytes(now->bytes, text));
	}
	add_count(out, "dropped", b->dropped, now->dropped, seconds > 0, colour);
	add_count(out, "retransmitted", b->retransmitted, now->retransmitted, seconds > 0, colour);
	if (now->malformed > 0)
		add_count(out, "malformed", b->malformed, now->malformed, seconds > 0, colour);
	ps_buf_addc(out, '\n');
	if (n == 0)
		return;

	t = ps_table_new();
	ps_table_column(t, "          TOP TALKERS", false);
	ps_table_column(t, "STATE", false);
	ps_table_column(t, "RATE", true);
	ps_table_column(t, "IN ALL", true);
	for (size_t i = 0; i < n; i++) {
		ps_table_row(t);
		ps_table_cellf(t, PS_STYLE_PLAIN, "          %s", top[i].conn->key);
		ps_table_cell(t, PS_STYLE_DIM, top[i].conn->state);
		ps_table_cell(t, PS_STYLE_PLAIN, ps_human_rate(top[i].bits, "bit/s", text));
		ps_table_cell(t, PS_STYLE_PLAIN, ps_human_bytes(top[i].conn->bytes, text));
	}
	if (ps_table_render(t, colour, &rows) == 0)
		ps_buf_add(out, rows.data, rows.len);
}

void ps_summary_json(const struct ps_reading *before, const struct ps_reading *now, uint64_t wall, struct ps_buf *out)
{
	static const struct ps_reading none;
	const struct ps_reading *b = before && before->valid ? before : &none;
	double seconds = seconds_between(before, now);
	struct talker top[PS_UP_TALKERS];
	size_t n = top_talkers(b, now, top);
	char ts[PS_RFC3339_SIZE];

	ps_buf_addf(out,
		"{\"time\":\"%s\",\"connections\":%" PRIu64 ",\"packets\":%" PRIu64 ",\"bytes\":%" PRIu64
		",\"dropped_packets\":%" PRIu64 ",\"retransmitted_packets\":%" PRIu64 ",\"malformed_packets\":%" PRIu64
		",\"packets_per_second\":%.1f,\"bits_per_second\":%.1f,\"talkers\":[",
		ps_rfc3339(wall, ts), now->connections, now->packets, now->bytes, now->dropped, now->retransmitted,
		now->malformed, rate(b->packets, now->packets, seconds), rate(b->bytes, now->bytes, seconds) * 8);
	for (size_t i = 0; i < n; i++) {
		ps_buf_adds(out, i ? ",{\"id\":" : "{\"id\":");
		ps_json_string(out, top[i].conn->id, strlen(top[i].conn->id));
		ps_buf_adds(out, ",\"key\":");
		ps_json_string(out, top[i].conn->key, strlen(top[i].conn->key));
		ps_buf_addf(out, ",\"bits_per_second\":%.1f,\"bytes\":%" PRIu64 "}", top[i].bits, top[i].conn->bytes);
	}
	ps_buf_adds(out, "]}\n");
}
