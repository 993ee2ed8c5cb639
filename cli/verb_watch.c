/* `packetscope watch`: a tap on the bus. Reads the sockets of the run directory, not the gateway. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/columns.h"
#include "cli/verb.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/bus/bus.h"
#include "common/bus/loop.h"
#include "common/codec/json.h"
#include "common/codec/msgpack.h"
#include "common/model/record.h"

struct watch {
	const struct ps_settings *s;
	struct ps_loop *loop;
	struct ps_subscriber *events, *state;
	uint64_t left; /* records to come; 0 = no end */
	bool colour;
	/* --fields, for each type of record that has them all */
	bool chosen[PS_RECORD_TYPES];
	struct ps_field fields[PS_RECORD_TYPES][PS_TABLE_COLUMNS_MAX * 2];
	struct ps_schema schema[PS_RECORD_TYPES];
};

union record {
	struct ps_conn conn;
	struct ps_icmp icmp;
	struct ps_drop drop;
};

static int unknown_topic(const char *name, struct ps_error *err)
{
	_cleanup_(ps_buf_free) struct ps_buf known = PS_BUF_INIT;

	for (int t = 0; t < PS_TOPICS; t++)
		ps_buf_addf(&known, " %s", ps_topic_name((enum ps_topic)t));
	return ps_error_set(err, -EINVAL, 400, "bad_value", "topics", "there is no topic \"%.*s\"; there are:%s",
		(int)strcspn(name, ","), name, ps_buf_str(&known) ? ps_buf_str(&known) : "");
}

static int parse_topics(const char *list, uint32_t *ret_bits, struct ps_error *err)
{
	uint32_t bits = 0;

	while (*list) {
		size_t len = strcspn(list, ",");
		enum ps_topic topic;

		if (len == 3 && strncmp(list, "all", 3) == 0)
			bits = (1u << PS_TOPICS) - 1;
		else if (ps_topic_parse(list, len, &topic) == 0)
			bits |= 1u << topic;
		else if (len > 0)
			return unknown_topic(list, err);
		list += len + (list[len] == ',');
	}
	if (!bits)
		return unknown_topic("", err);
	*ret_bits = bits;
	return 0;
}

/* A field may belong to one type of record only: what has none of them is shown whole. An unknown name is an error for
 * all. */
static int choose_fields(struct watch *w, struct ps_error *err)
{
	bool any = false;

	if (!*w->s->fields)
		return 0;
	for (int t = 0; t < PS_RECORD_TYPES; t++) {
		struct ps_columns columns;

		w->chosen[t] = ps_columns_choose(&ps_schemas[t], w->s->fields, &columns, t == 0 ? err : NULL) == 0;
		if (w->chosen[t])
			ps_columns_schema(&columns, w->fields[t], &w->schema[t]);
		any = any || w->chosen[t];
	}
	return any ? 0 : -EINVAL;
}

static void add_time(struct ps_buf *out, uint64_t wall_ns)
{
	time_t seconds = (time_t)(wall_ns / PS_NSEC);
	struct tm tm;
	char text[16];

	(void)localtime_r(&seconds, &tm);
	(void)strftime(text, sizeof(text), "%H:%M:%S", &tm);
	ps_buf_addf(out, "%s.%03u", text, (unsigned)(wall_ns % PS_NSEC / 1000000));
}

static void add_conn(struct ps_buf *out, enum ps_topic topic, const struct ps_conn *c)
{
	const char *state = ps_enum_name(PS_KIND_STATE, c->state), *end = ps_enum_name(PS_KIND_END, c->end_reason);
	char key[PS_KEY_TEXT];

	ps_buf_addf(out, "%s %s, packets %" PRIu64 "/%" PRIu64 ", bytes %" PRIu64 "/%" PRIu64, ps_conn_key(c, key),
		state ? state : "", c->orig_packets, c->resp_packets, c->orig_bytes, c->resp_bytes);
	if (topic == PS_TOPIC_CONN_END && end)
		ps_buf_addf(out, ", ended by %s", end);
}

static void add_drop(struct ps_buf *out, const struct ps_drop *d)
{
	char src[PS_ADDR_TEXT], dst[PS_ADDR_TEXT], proto[8];

	ps_buf_addf(out, "rule %d dropped %s %s port %u -> %s port %u, %u bytes", (int)d->rule_id,
		ps_proto_name(d->proto, proto), ps_addr_format(&d->src_ip, src), d->src_port,
		ps_addr_format(&d->dst_ip, dst), d->dst_port, d->bytes);
}

static void add_record(struct watch *w, struct ps_buf *out, const struct ps_message *m, const union record *r)
{
	enum ps_record_type type = ps_topic_record(m->topic);
	char key[PS_KEY_TEXT];

	if (w->s->json || w->chosen[type]) {
		ps_json_record(out, w->chosen[type] ? &w->schema[type] : &ps_schemas[type], r);
		return;
	}
	switch (type) {
	case PS_RECORD_CONN:
		add_conn(out, m->topic, &r->conn);
		break;
	case PS_RECORD_ICMP:
		ps_buf_addf(out, "%s, packets %" PRIu64, ps_icmp_key_text(&r->icmp, key), r->icmp.packets);
		break;
	default:
		add_drop(out, &r->drop);
		break;
	}
}

static void begin_line(struct watch *w, struct ps_buf *out, const struct ps_message *m)
{
	char ts[PS_RFC3339_SIZE];

	if (w->s->json) {
		ps_buf_addf(out, "{\"topic\":\"%s\",\"ts\":\"%s\",", ps_topic_name(m->topic), ps_rfc3339(m->ts, ts));
		return;
	}
	add_time(out, m->ts);
	ps_buf_addf(out, " ");
	ps_style_add(out, m->topic == PS_TOPIC_DROP ? PS_STYLE_BAD : PS_STYLE_HEAD, w->colour, ps_topic_name(m->topic));
	ps_buf_addf(out, "%*s", (int)(12 - strlen(ps_topic_name(m->topic))), "");
}

/* Counts one down; true when it was the last. */
static bool end_line(struct watch *w, struct ps_buf *out)
{
	ps_buf_adds(out, w->s->json ? "}\n" : "\n");
	return w->left > 0 && --w->left == 0;
}

static bool show_records(struct watch *w, struct ps_buf *out, const struct ps_message *m)
{
	struct ps_batch_reader reader;
	union record record;

	if (ps_batch_reader_init(&reader, ps_topic_record(m->topic), ps_value_get(m->header, "fields"), m->payload,
		    m->payload_len) < 0)
		return false;
	while (ps_batch_next(&reader, &record) > 0) {
		begin_line(w, out, m);
		add_record(w, out, m, &record);
		if (end_line(w, out))
			return true;
	}
	return false;
}

/* A topic whose payload is one map: its members beside topic and ts. */
static bool show_map(struct watch *w, struct ps_buf *out, const struct ps_message *m)
{
	_cleanup_(ps_value_free) struct ps_value *map = NULL;

	if (ps_msgpack_parse(m->payload, m->payload_len, &map) < 0)
		return false;
	begin_line(w, out, m);
	for (size_t i = 0; i < ps_value_count(map); i++) {
		const char *key = ps_value_key_at(map, i);

		ps_buf_adds(out, i ? (w->s->json ? "," : " ") : "");
		if (w->s->json) {
			ps_json_string(out, key, strlen(key));
			ps_buf_addc(out, ':');
		} else {
			ps_style_add(out, PS_STYLE_PLAIN, false, key);
			ps_buf_addc(out, '=');
		}
		ps_json_write(out, ps_value_at(map, i));
	}
	return end_line(w, out);
}

static int take(struct watch *w, struct ps_subscriber *sub)
{
	_cleanup_(ps_message_free) struct ps_message m = {0};
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;
	bool last;

	if (ps_subscriber_next(sub, &m) <= 0)
		return 0;
	if (m.missed > 0)
		(void)fprintf(stderr, "packetscope: %" PRIu64 " messages of %s were lost: this terminal is too slow\n",
			m.missed, ps_topic_name(m.topic));
	last = ps_topic_record(m.topic) == PS_RECORD_TYPES ? show_map(w, &out, &m) : show_records(w, &out, &m);
	if (fwrite(out.data, 1, out.len, stdout) != out.len || fflush(stdout) != 0)
		return errno == EPIPE ? 1 : -EIO;
	return last ? 1 : 0;
}

static int on_events(void *arg)
{
	struct watch *w = arg;

	return take(w, w->events);
}

static int on_state(void *arg)
{
	struct watch *w = arg;

	return take(w, w->state);
}

/* zmq would wait in silence for a socket that is not there or not for us; say so. */
static int look(const char *run_dir, struct ps_error *err)
{
	static const char *const names[] = {"events.sock", "state.sock"};
	bool missing = false;

	for (size_t i = 0; i < PS_ARRAY_SIZE(names); i++) {
		char path[256];

		(void)snprintf(path, sizeof(path), "%s/%s", run_dir, names[i]);
		if (access(path, W_OK) == 0)
			continue;
		if (errno == EACCES)
			return ps_error_set(err, -EACCES, 403, "no_permission", "run-dir",
				"no permission for %s; run this as root (sudo) or as a member of its group", path);
		missing = true;
	}
	if (missing)
		(void)fprintf(stderr,
			"packetscope: nothing publishes in %s yet (`packetscope up` starts it); waiting\n", run_dir);
	return 0;
}

static int run(struct watch *w, uint32_t topics, struct ps_error *err)
{
	_cleanup_(ps_bus_free) struct ps_bus *bus = NULL;
	_cleanup_(ps_subscriber_free) struct ps_subscriber *events = NULL, *state = NULL;
	_cleanup_(ps_loop_free) struct ps_loop *loop = NULL;
	struct ps_endpoints ep;
	int r = ps_endpoints_default(w->s->run_dir, &ep);

	if (r < 0)
		return ps_error_set(err, r, 400, "bad_value", "run-dir", "the path is too long");
	r = ps_bus_new(&bus);
	if (r == 0)
		r = ps_subscriber_new(bus, ep.events, topics, &events, err);
	if (r == 0)
		r = ps_subscriber_new(bus, ep.state, topics, &state, err);
	if (r == 0)
		r = ps_loop_new(&loop);
	if (r == 0)
		r = ps_loop_handle_signals(loop, NULL, NULL);
	w->events = events;
	w->state = state;
	if (r == 0)
		r = ps_loop_add_subscriber(loop, events, on_events, w);
	if (r == 0)
		r = ps_loop_add_subscriber(loop, state, on_state, w);
	if (r == 0)
		r = ps_loop_run(loop);
	if (r < 0 && !err->message[0])
		(void)ps_error_set(err, r, 500, "failed", "", "cannot watch: %s", strerror(-r));
	return r;
}

int ps_verb_watch(const struct ps_settings *s, int n, char **operands)
{
	struct watch w = {.s = s, .left = s->count, .colour = ps_cli_colour()};
	struct ps_error err = {0};
	uint32_t topics = 0;

	(void)operands;
	if (n > 0)
		return ps_cli_usage("watch", "takes no operands; topics go to --topics");
	if (parse_topics(s->topics, &topics, &err) < 0 || choose_fields(&w, &err) < 0)
		return ps_cli_fail(&err), PS_EXIT_USAGE;
	if (look(s->run_dir, &err) < 0 || run(&w, topics, &err) < 0)
		return ps_cli_fail(&err);
	return PS_EXIT_OK;
}
