#include "replay/report.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/codec/json.h"
#include "common/codec/record_json.h"
#include "common/model/record.h"

/* Bytes that are gathered before they are written: a capture may have a million connections. */
#define CHUNK (256u << 10)

static int pour(struct ps_buf *buf, FILE *out)
{
	if (buf->error)
		return buf->error;
	if (buf->len && fwrite(buf->data, 1, buf->len, out) != buf->len)
		return -EIO;
	ps_buf_reset(buf);
	return 0;
}

/* [record,record…] */
static int add_records(struct ps_buf *buf, enum ps_record_type type, const void *const *records, size_t n, FILE *out)
{
	int r = 0;

	ps_buf_addc(buf, '[');
	for (size_t i = 0; r == 0 && i < n; i++) {
		if (i)
			ps_buf_adds(buf, ",\n");
		ps_record_json(buf, type, records[i]);
		if (buf->len > CHUNK)
			r = pour(buf, out);
	}
	ps_buf_addc(buf, ']');
	return r;
}

static struct ps_value *capture_value(const struct ps_replay_report *r)
{
	_cleanup_(ps_value_free) struct ps_value *v = ps_value_map();
	const struct ps_replay_counts *c = r->counts;
	const struct {
		const char *name;
		uint64_t n;
	} rows[] = {
		{"packets", c->packets},
		{"replayed", c->replayed},
		{"cut", c->cut},
		{"too_short", c->short_frames},
		{"too_long", c->long_frames},
		{"as_ingress", c->as_ingress},
		{"late", c->late},
	};

	if (ps_value_set(v, "link_type", ps_value_string(ps_capture_link_name(r->capture))) < 0 ||
		ps_value_set(v, "complete", ps_value_bool(c->complete)) < 0)
		return NULL;
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		if (ps_value_set(v, rows[i].name, ps_value_uint(rows[i].n)) < 0)
			return NULL;
	}
	return PS_TAKE(v);
}

static int add_stats(struct ps_buf *buf, const struct ps_replay_report *r)
{
	_cleanup_(ps_value_free) struct ps_value *stats = ps_pipeline_stats(r->pipeline);

	if (!stats || ps_value_set(stats, "capture", capture_value(r)) < 0)
		return -ENOMEM;
	ps_json_write(buf, stats);
	return 0;
}

static int add_filters(struct ps_buf *buf, const struct ps_replay_report *r)
{
	ps_buf_addc(buf, '[');
	for (size_t i = 0; i < r->n_rules; i++) {
		_cleanup_(ps_value_free) struct ps_value *rule = ps_pipeline_rule(r->pipeline, &r->rules[i]);

		if (!rule)
			return -ENOMEM;
		if (i)
			ps_buf_adds(buf, ",\n");
		ps_json_write(buf, rule);
	}
	ps_buf_addc(buf, ']');
	return 0;
}

/* The first of them first. */
static int add_findings(struct ps_buf *buf, const struct ps_replay_report *r)
{
	const struct ps_detect *d = ps_pipeline_detect(r->pipeline);

	ps_buf_addc(buf, '[');
	for (size_t i = ps_detect_count(d); i-- > 0;) {
		_cleanup_(ps_value_free) struct ps_value *v = ps_finding_to_value(ps_detect_finding(d, i));

		if (!v || ps_finding_times_to_text(v) < 0)
			return -ENOMEM;
		ps_json_write(buf, v);
		if (i)
			ps_buf_adds(buf, ",\n");
	}
	ps_buf_addc(buf, ']');
	return 0;
}

int ps_replay_json(const struct ps_replay_report *r, FILE *out)
{
	_cleanup_(ps_buf_free) struct ps_buf buf = PS_BUF_INIT;
	const struct ps_conn *const *conns;
	const struct ps_icmp *const *icmp;
	size_t n_conns, n_icmp;
	int error;

	conns = ps_pipeline_conns(r->pipeline, &n_conns);
	icmp = ps_pipeline_icmp(r->pipeline, &n_icmp);
	ps_buf_adds(&buf, "{\"connections\":");
	error = add_records(&buf, PS_RECORD_CONN, (const void *const *)conns, n_conns, out);
	ps_buf_adds(&buf, ",\n\"icmp\":");
	if (error == 0)
		error = add_records(&buf, PS_RECORD_ICMP, (const void *const *)icmp, n_icmp, out);
	ps_buf_adds(&buf, ",\n\"stats\":");
	if (error == 0)
		error = add_stats(&buf, r);
	ps_buf_adds(&buf, ",\n\"filters\":");
	if (error == 0)
		error = add_filters(&buf, r);
	ps_buf_adds(&buf, ",\n\"findings\":");
	if (error == 0)
		error = add_findings(&buf, r);
	ps_buf_adds(&buf, "}\n");
	if (error == 0)
		error = pour(&buf, out);
	if (error == 0 && fflush(out) != 0)
		error = -EIO;
	return error;
}

void ps_replay_warn(const struct ps_replay_report *r)
{
	const struct ps_replay_counts *c = r->counts;
	const struct ps_stats *s = ps_pipeline_counters(r->pipeline);
	const struct {
		uint64_t n;
		const char *what;
	} rows[] = {
		{c->cut, "packets were cut off by the capture's snap length; zero bytes stand in"},
		{c->short_frames, "packets are shorter than their link header and were left out"},
		{c->long_frames,
			"packets are longer than the kernel takes and were left out; capture with segmentation "
			"offload turned off"},
		{c->as_ingress, "packets of the host are too long or too short for the egress program; the ingress "
				"program took them"},
		{c->late, "packets have a time before that of an earlier one; reordercap sorts a capture"},
		{s->untracked, "packets found no room in the connection table; raise --max-connections"},
		{s->conns_evicted,
			"half-open connections gave up their slot to others; raise --max-connections to keep "
			"them"},
	};

	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		if (rows[i].n)
			ps_log(PS_LOG_WARN, rows[i].what, "count=%" PRIu64, rows[i].n);
	}
}
