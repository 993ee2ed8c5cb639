#include "client/tap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/codec/msgpack.h"

#define RUN_DIR "/run/packetscope"

static const char *const source_names[SOURCES + 1] = {"events", "state", "findings", "snapshot"};

/* --- making ------------------------------------------------------------------------------------------ */

struct ps_tap *ps_tap_new(void)
{
	_cleanup_(ps_tap_free) struct ps_tap *tap = calloc(1, sizeof(*tap));

	if (!tap)
		return NULL;
	tap->epoll = -1;
	tap->topics = PS_TAP_TABLE_TOPICS;
	if (ps_endpoints_default(RUN_DIR, &tap->where) < 0)
		return NULL;
	return PS_TAKE(tap);
}

static void end_reading(struct ps_tap *tap)
{
	ps_message_free(&tap->m);
	ps_reply_free(&tap->page);
	ps_value_free(&tap->map);
	tap->reading = READING_NOTHING;
}

void ps_tap_free(struct ps_tap **tap)
{
	struct ps_tap *t = *tap;

	if (!t)
		return;
	end_reading(t);
	ps_tap_drop_aside(t);
	for (int s = 0; s < SOURCES; s++) {
		if (t->source[s].holds)
			ps_message_free(&t->source[s].held);
		ps_subscriber_free(&t->source[s].sub);
	}
	ps_requester_free(&t->query);
	ps_bus_free(&t->bus);
	ps_closep(&t->epoll);
	ps_conn_table_free(&t->table);
	ps_buf_free(&t->json);
	ps_buf_free(&t->line);
	free(t->gone);
	free(t->aside);
	free(t->own_key);
	free(t->server_key);
	free(t);
	*tap = NULL;
}

const char *ps_tap_error(const struct ps_tap *tap)
{
	return tap->error.message;
}

static int late(struct ps_tap *tap)
{
	return ps_error_set(
		&tap->error, -EISCONN, 400, "connected", "", "the tap is connected: this is to be set before");
}

int ps_tap_set_run_dir(struct ps_tap *tap, const char *dir)
{
	if (tap->bus)
		return late(tap);
	if (ps_endpoints_default(dir, &tap->where) < 0)
		return ps_error_set(
			&tap->error, -ENAMETOOLONG, 400, "bad_value", "run-dir", "%.100s…: the path is too long", dir);
	return 0;
}

int ps_tap_set_endpoints(struct ps_tap *tap, const char *events, const char *state, const char *query)
{
	struct ps_endpoints where = tap->where;
	const struct {
		char *to;
		const char *from;
	} rows[] = {{where.events, events}, {where.state, state}, {where.control, query}};

	if (tap->bus)
		return late(tap);
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		if (!rows[i].from || !*rows[i].from)
			continue;
		if (strlen(rows[i].from) >= sizeof(where.events))
			return ps_error_set(&tap->error, -ENAMETOOLONG, 400, "bad_value", "",
				"%.100s…: the endpoint is too long", rows[i].from);
		memcpy(rows[i].to, rows[i].from, strlen(rows[i].from) + 1);
	}
	tap->where = where;
	return 0;
}

int ps_tap_set_findings(struct ps_tap *tap, const char *endpoint)
{
	if (tap->bus)
		return late(tap);
	if (strlen(endpoint) >= sizeof(tap->where.findings))
		return ps_error_set(&tap->error, -ENAMETOOLONG, 400, "bad_value", "",
			"%.100s…: the endpoint is too long", endpoint);
	memcpy(tap->where.findings, endpoint, strlen(endpoint) + 1);
	return 0;
}

int ps_tap_set_keys(struct ps_tap *tap, const char *own_secret_file, const char *server_public_file)
{
	if (tap->bus)
		return late(tap);
	ps_freep(&tap->own_key);
	ps_freep(&tap->server_key);
	tap->own_key = strdup(own_secret_file);
	tap->server_key = strdup(server_public_file);
	return tap->own_key && tap->server_key ? 0 : -ENOMEM;
}

int ps_tap_set_topics(struct ps_tap *tap, const char *topics)
{
	uint32_t bits = 0;

	if (tap->bus)
		return late(tap);
	while (*topics) {
		size_t len = strcspn(topics, ",");
		enum ps_topic t;

		if (len == 3 && strncmp(topics, "all", 3) == 0)
			bits = (1u << PS_TOPICS) - 1;
		else if (ps_topic_parse(topics, len, &t) == 0)
			bits |= 1u << t;
		else if (len)
			break;
		topics += len + (topics[len] == ',');
	}
	if (*topics || !bits) {
		_cleanup_(ps_buf_free) struct ps_buf known = PS_BUF_INIT;

		for (int t = 0; t < PS_TOPICS; t++)
			ps_buf_addf(&known, " %s", ps_topic_name((enum ps_topic)t));
		return ps_error_set(&tap->error, -EINVAL, 400, "bad_value", "topics",
			"there is no topic \"%.*s\"; there are:%s", (int)PS_MIN(strcspn(topics, ","), (size_t)40),
			topics, ps_buf_str(&known) ? ps_buf_str(&known) : "");
	}
	tap->topics = bits;
	return 0;
}

int ps_tap_set_where(struct ps_tap *tap, const char *conditions)
{
	return ps_where_parse(conditions, &tap->conditions, &tap->error);
}

void ps_tap_keep_table(struct ps_tap *tap, bool keep)
{
	tap->keeps_table = keep;
}

void ps_tap_on_gap(struct ps_tap *tap, ps_tap_gap_fn fn, void *arg)
{
	tap->on_gap = fn;
	tap->on_gap_arg = arg;
}

void ps_tap_on_resync(struct ps_tap *tap, ps_tap_resync_fn fn, void *arg)
{
	tap->on_resync = fn;
	tap->on_resync_arg = arg;
}

static int watch_fd(struct ps_tap *tap, int fd)
{
	struct epoll_event ev = {.events = EPOLLIN};

	if (fd < 0)
		return fd;
	return epoll_ctl(tap->epoll, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

static int open_sockets(struct ps_tap *tap)
{
	const uint32_t topics = tap->topics | (tap->keeps_table ? PS_TAP_TABLE_TOPICS : 0);
	const uint32_t findings = 1u << PS_TOPIC_FINDING | 1u << PS_TOPIC_JOB;
	const struct {
		const char *endpoint;
		uint32_t topics;
	} sources[SOURCES] = {{tap->where.events, topics & ~findings}, {tap->where.state, topics & ~findings},
		{tap->where.findings, topics & findings}};
	int r = ps_bus_new(&tap->bus);

	if (r == 0 && tap->own_key)
		r = ps_bus_join_curve(tap->bus, tap->own_key, tap->server_key, &tap->error);
	for (int s = 0; r == 0 && s < SOURCES; s++) {
		if (!sources[s].topics)
			continue;
		r = ps_subscriber_new(
			tap->bus, sources[s].endpoint, sources[s].topics, &tap->source[s].sub, &tap->error);
		if (r == 0)
			r = watch_fd(tap, ps_subscriber_fd(tap->source[s].sub));
	}
	if (r == 0 && tap->keeps_table) {
		r = ps_requester_new(tap->bus, tap->where.control, &tap->query, &tap->error);
		if (r == 0)
			r = watch_fd(tap, ps_requester_fd(tap->query));
		if (r == 0)
			r = ps_conn_table_new(PS_TAP_LIVE_MAX, &tap->table);
	}
	return r;
}

int ps_tap_connect(struct ps_tap *tap)
{
	int r;

	if (tap->bus)
		return late(tap);
	tap->error = (struct ps_error){0};
	tap->epoll = epoll_create1(EPOLL_CLOEXEC);
	r = tap->epoll < 0 ? -errno : open_sockets(tap);
	if (r < 0 && !tap->error.message[0])
		(void)ps_error_set(&tap->error, r, 500, "failed", "", "cannot tap: %s", strerror(-r));
	tap->stale = tap->keeps_table;
	return r;
}

int ps_tap_fd(const struct ps_tap *tap)
{
	return tap->epoll;
}

/* --- messages ---------------------------------------------------------------------------------------- */

/* What is missing before this message. */
static void follow(struct ps_tap *tap, int s, const struct ps_message *m)
{
	struct ps_tap_source *source = &tap->source[s];
	bool first = source->epoch == 0, of_table = PS_TAP_TABLE_TOPICS >> m->topic & 1;
	struct ps_tap_gap gap = {
		.source = source_names[s], .topic = ps_topic_name(m->topic), .messages = m->missed, .seq = m->seq};

	if (m->epoch != source->epoch) {
		memset(source->seq, 0, sizeof(source->seq));
		source->epoch = m->epoch;
		gap.restarted = !first;
	}
	if (source->seq[m->topic] && m->before > source->expected[m->topic])
		gap.records = m->before - source->expected[m->topic];
	source->expected[m->topic] = m->before + m->n;
	source->seq[m->topic] = m->seq;
	tap->counters.messages++;
	tap->counters.records += m->n;
	tap->counters.lost_messages += gap.messages;
	tap->counters.lost_records += gap.records;
	/* Whoever is heard for the first time may have spoken before, unless the snapshot is still to come. */
	if (tap->keeps_table && s != SOURCE_FINDINGS &&
		(gap.restarted || (of_table && gap.messages) || (first && tap->phase > SYNC_JOIN) ||
			(first && tap->synced)))
		tap->stale = true;
	if (tap->on_gap && (gap.restarted || gap.messages))
		tap->on_gap(tap->on_gap_arg, &gap);
}

/* The older of the messages that wait. */
static int receive(struct ps_tap *tap, int *ret_source, struct ps_message *ret_m)
{
	int oldest = -1;

	for (int s = 0; s < SOURCES; s++) {
		struct ps_tap_source *source = &tap->source[s];

		if (source->sub && !source->holds) {
			int r = ps_subscriber_next(source->sub, &source->held);

			if (r < 0 && r != -EBADMSG)
				return r;
			source->holds = r == 1;
			tap->counters.malformed += r == -EBADMSG;
		}
		if (source->holds && (oldest < 0 || source->held.ts < tap->source[oldest].held.ts))
			oldest = s;
	}
	if (oldest < 0)
		return 0;
	*ret_source = oldest;
	*ret_m = tap->source[oldest].held;
	tap->source[oldest].holds = false;
	follow(tap, oldest, ret_m);
	return 1;
}

void ps_tap_begin(struct ps_tap *tap, int from, enum ps_record_type type, const struct ps_value *fields,
	const uint8_t *payload, size_t len)
{
	tap->from = from;
	tap->reading = READING_BATCH;
	if (ps_batch_reader_init(&tap->reader, type, fields, payload, len) < 0) {
		tap->counters.malformed++;
		end_reading(tap);
	}
}

/* Does the snapshot hold it already? */
static bool is_old(const struct ps_tap *tap, int s, const struct ps_message *m)
{
	const struct ps_tap_source *source = &tap->source[s];

	return tap->synced && (PS_TAP_TABLE_TOPICS >> m->topic & 1) && m->epoch == source->valid_epoch &&
	       m->seq <= source->valid_seq[m->topic];
}

static void begin_message(struct ps_tap *tap, int s, struct ps_message *m)
{
	enum ps_record_type type = ps_topic_record(m->topic);

	tap->m = *m;
	*m = (struct ps_message){0};
	tap->from = s;
	tap->map_given = false;
	if (tap->m.n == 0 || is_old(tap, s, &tap->m)) {
		end_reading(tap);
	} else if (type != PS_RECORD_TYPES) {
		ps_tap_begin(tap, s, type, ps_value_get(tap->m.header, "fields"), tap->m.payload, tap->m.payload_len);
	} else if (ps_msgpack_parse(tap->m.payload, tap->m.payload_len, &tap->map) < 0) {
		tap->counters.malformed++;
		end_reading(tap);
	} else {
		tap->reading = READING_BATCH;
	}
}

/* --- records ----------------------------------------------------------------------------------------- */

/* What a record of a connection does to the table; PS_TOPICS = nothing new. */
static enum ps_topic fold(struct ps_tap *tap, enum ps_topic topic)
{
	bool end = topic == PS_TOPIC_CONN_END;

	switch (ps_conn_table_apply(tap->table, &tap->record.conn, end, ps_clock_boot())) {
	case PS_CHANGE_NEW:
		return PS_TOPIC_CONN_NEW;
	case PS_CHANGE_UPDATE:
		return end ? PS_TOPIC_CONN_END : PS_TOPIC_CONN_UPDATE;
	case PS_CHANGE_END:
		return PS_TOPIC_CONN_END;
	default:
		return PS_TOPICS;
	}
}

static void set_out(struct ps_tap *tap, enum ps_topic topic, const void *data)
{
	tap->out = (struct ps_tap_record){
		.topic = topic,
		.ts = tap->from == SOURCES || !tap->m.ts ? ps_clock_wall() : tap->m.ts,
		.source = source_names[tap->from],
		.data = data,
		.map = tap->map,
	};
}

/* 1 = tap->out is the next record of the batch, 0 = the batch is over. */
static int read_batch(struct ps_tap *tap)
{
	enum ps_topic topic = tap->from == SOURCES ? PS_TOPIC_CONN_UPDATE : tap->m.topic;

	if (tap->map) {
		if (tap->map_given)
			return 0;
		tap->map_given = true;
		set_out(tap, topic, NULL);
		return 1;
	}
	for (;;) {
		int r = ps_batch_next(&tap->reader, &tap->record);

		tap->counters.malformed += r < 0;
		/* A page that breaks off leaves out what lives. */
		if (r < 0 && tap->from == SOURCES)
			tap->stale = true;
		if (r <= 0)
			return 0;
		if (tap->keeps_table && (PS_TAP_TABLE_TOPICS >> topic & 1)) {
			enum ps_topic what = fold(tap, topic);

			if (what == PS_TOPICS)
				continue;
			set_out(tap, what, &tap->record);
		} else {
			set_out(tap, topic, &tap->record);
		}
		return 1;
	}
}

static int read_gone(struct ps_tap *tap)
{
	if (tap->next_gone == tap->n_gone) {
		ps_freep(&tap->gone);
		tap->n_gone = tap->cap_gone = tap->next_gone = 0;
		return 0;
	}
	tap->from = SOURCES;
	set_out(tap, PS_TOPIC_CONN_END, &tap->gone[tap->next_gone++]);
	return 1;
}

/* Nothing is being read: begins with what comes next. 1, 0 = there is nothing. */
static int begin_next(struct ps_tap *tap, uint64_t now, uint64_t *ret_due)
{
	struct ps_message m;
	int s, r;

	if (tap->keeps_table && ps_tap_sync(tap, now, ret_due))
		return 1;
	if (ps_tap_take_aside(tap, &s, &m)) {
		begin_message(tap, s, &m);
		return 1;
	}
	if (tap->aside_bytes > PS_TAP_ASIDE_MAX)
		return 0;
	r = receive(tap, &s, &m);
	if (r <= 0)
		return r;
	if (!ps_tap_puts_aside(tap))
		begin_message(tap, s, &m);
	else if (!ps_tap_put_aside(tap, s, &m))
		tap->stale = true;
	return 1;
}

/* Everything that can be had without waiting: 1 = tap->out is a record. */
static int advance(struct ps_tap *tap, uint64_t now, uint64_t *ret_due)
{
	for (;;) {
		int r = tap->reading == READING_GONE    ? read_gone(tap)
			: tap->reading == READING_BATCH ? read_batch(tap)
							: 0;

		if (r == 1) {
			bool asked = tap->topics >> tap->out.topic & 1;

			if (asked && ps_where_holds(&tap->conditions, &tap->out))
				return 1;
			continue;
		}
		end_reading(tap);
		r = begin_next(tap, now, ret_due);
		if (r <= 0)
			return r;
	}
}

int ps_tap_next(struct ps_tap *tap, int timeout_ms, const struct ps_tap_record **ret_record)
{
	uint64_t deadline = timeout_ms < 0 ? UINT64_MAX : ps_clock_boot() + (uint64_t)timeout_ms * 1000000;

	if (!tap->bus)
		return ps_error_set(&tap->error, -ENOTCONN, 400, "not_connected", "", "the tap is not connected");
	for (;;) {
		struct ps_subscriber *subs[SOURCES];
		size_t n_subs = 0;
		uint64_t now = ps_clock_boot(), due = UINT64_MAX, left;
		int r = advance(tap, now, &due);

		if (r == 1)
			*ret_record = &tap->out;
		if (r != 0)
			return r;
		if (now >= deadline)
			return 0;
		left = PS_MIN(due, deadline - now);
		for (int s = 0; s < SOURCES; s++) {
			if (tap->source[s].sub)
				subs[n_subs++] = tap->source[s].sub;
		}
		r = ps_bus_wait(subs, n_subs, tap->query, left == UINT64_MAX ? -1 : (long)((left + 999999) / 1000000));
		if (r < 0)
			return ps_error_set(&tap->error, r, 500, "interrupted", "", "%s", strerror(-r));
	}
}

void ps_tap_counters(const struct ps_tap *tap, struct ps_tap_counters *ret_counters)
{
	*ret_counters = tap->counters;
}

const char *ps_tap_json(struct ps_tap *tap, const struct ps_tap_record *record, const char *fields)
{
	ps_buf_reset(&tap->json);
	ps_tap_record_json(record, fields ? fields : "", &tap->json);
	return ps_buf_str(&tap->json) ?: "";
}

const char *ps_tap_line(struct ps_tap *tap, const struct ps_tap_record *record)
{
	ps_buf_reset(&tap->line);
	ps_tap_record_line(record, &tap->line);
	return ps_buf_str(&tap->line) ?: "";
}

/* --- the table --------------------------------------------------------------------------------------- */

uint64_t ps_tap_live(const struct ps_tap *tap)
{
	struct ps_conn_totals totals = {0};

	if (tap->table)
		ps_conn_table_totals(tap->table, &totals);
	return totals.live;
}

bool ps_tap_in_step(const struct ps_tap *tap)
{
	return tap->synced && !tap->stale && tap->phase == SYNC_IDLE;
}

static const struct ps_tap_record *found(struct ps_tap *tap, const struct ps_conn *c)
{
	tap->found = (struct ps_tap_record){
		.topic = PS_TOPIC_CONN_UPDATE, .ts = ps_clock_wall(), .source = "snapshot", .data = c};
	return &tap->found;
}

const struct ps_tap_record *ps_tap_find(struct ps_tap *tap, const char *id)
{
	const struct ps_conn *c;
	bool ended = false;

	if (!tap->table || strspn(id, "0123456789abcdef") != 16 || strlen(id) != 16)
		return NULL;
	c = ps_conn_table_find(tap->table, strtoull(id, NULL, 16), &ended);
	return c && !ended ? found(tap, c) : NULL;
}

const struct ps_tap_record *ps_tap_walk(struct ps_tap *tap, size_t *position)
{
	const struct ps_conn *c;
	bool ended;

	while (tap->table && (c = ps_conn_table_next(tap->table, position, &ended))) {
		if (!ended)
			return found(tap, c);
	}
	return NULL;
}
