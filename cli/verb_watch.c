/* `packetscope watch`: a tap on the bus, by libpacketscope. Reads the sockets, not the gateway. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/columns.h"
#include "cli/verb.h"
#include "client/packetscope.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"

struct watch {
	const struct ps_settings *s;
	struct ps_tap *tap;
	bool colour;
	/* --fields as a list of names, for each type of record that has them all; "" = shown whole */
	char fields[PS_RECORD_TYPES][PS_TABLE_COLUMNS_MAX * 64];
};

static int tap_failed(struct watch *w, struct ps_error *err)
{
	return ps_error_set(err, -EINVAL, 400, "bad_value", "", "%s", ps_tap_error(w->tap));
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
		size_t len = 0;

		if (ps_columns_choose(&ps_schemas[t], w->s->fields, &columns, t == 0 ? err : NULL) < 0)
			continue;
		any = true;
		for (size_t i = 0; i < columns.n && len + 64 < sizeof(w->fields[t]); i++) {
			const struct ps_column *c = &columns.column[i];

			len += (size_t)snprintf(w->fields[t] + len, 64, "%s%.24s%s%.24s", len ? "," : "",
				c->field->name, c->port ? "," : "", c->port ? c->port->name : "");
		}
	}
	return any ? 0 : -EINVAL;
}

/* Of the record's type; "" = all of them. */
static const char *fields_of(const struct watch *w, const struct ps_tap_record *r)
{
	const char *topic = ps_tap_topic(r);

	if (strncmp(topic, "conn.", 5) == 0 || strcmp(topic, "snapshot") == 0)
		return w->fields[PS_RECORD_CONN];
	if (strcmp(topic, "icmp") == 0)
		return w->fields[PS_RECORD_ICMP];
	return strcmp(topic, "drop") == 0 ? w->fields[PS_RECORD_DROP] : "";
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

static void add_fields(struct ps_buf *out, const struct ps_tap_record *r, const char *fields)
{
	for (const char *p = fields; *p; p += strcspn(p, ","), p += *p == ',') {
		char name[64], text[128];

		(void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(p, ","), p);
		ps_buf_addf(out, "%s%s=%s", p == fields ? "" : " ", name, ps_tap_text(r, name, text, sizeof(text)));
	}
}

/* A packet that was dropped is bad news; one that a rule in shadow mode would have dropped is a hint. */
static enum ps_style style_of(const struct ps_tap_record *r)
{
	char mode[16];

	if (strcmp(ps_tap_topic(r), "drop") != 0)
		return PS_STYLE_HEAD;
	return strcmp(ps_tap_text(r, "mode", mode, sizeof(mode)), "shadow") == 0 ? PS_STYLE_WARN : PS_STYLE_BAD;
}

static void add_line(struct watch *w, struct ps_buf *out, const struct ps_tap_record *r)
{
	const char *topic = ps_tap_topic(r), *fields = fields_of(w, r);

	if (w->s->json) {
		ps_buf_adds(out, ps_tap_json(w->tap, r, fields));
		ps_buf_addc(out, '\n');
		return;
	}
	add_time(out, ps_tap_ts(r));
	ps_buf_addc(out, ' ');
	ps_style_add(out, style_of(r), w->colour, topic);
	ps_buf_addf(out, "%*s", (int)(12 - strlen(topic)), "");
	if (*fields)
		add_fields(out, r, fields);
	else
		ps_style_add(out, PS_STYLE_PLAIN, false, ps_tap_line(w->tap, r));
	ps_buf_addc(out, '\n');
}

static void on_gap(void *arg, const struct ps_tap_gap *gap)
{
	(void)arg;
	if (gap->restarted)
		(void)fprintf(stderr, "packetscope: the publisher of %s was restarted\n", gap->source);
	else
		(void)fprintf(stderr,
			"packetscope: %" PRIu64 " messages (%" PRIu64
			" records) of %s were lost: this terminal is too slow\n",
			gap->messages, gap->records, gap->topic);
}

static void on_resync(void *arg, uint64_t rows, uint64_t gone)
{
	(void)arg;
	(void)fprintf(stderr, "packetscope: in step with the aggregator: %" PRIu64 " connections, %" PRIu64 " gone\n",
		rows, gone);
}

/* zmq would wait in silence for a socket that is not there or not for us; say so. */
static int look(const struct ps_settings *s, struct ps_error *err)
{
	static const char *const names[] = {"events.sock", "state.sock"};
	const char *const elsewhere[] = {s->events, s->state_at};
	bool missing = false;

	for (size_t i = 0; i < PS_ARRAY_SIZE(names); i++) {
		char path[256];

		if (*elsewhere[i])
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", s->run_dir, names[i]);
		if (access(path, W_OK) == 0)
			continue;
		if (errno == EACCES)
			return ps_error_set(err, -EACCES, 403, "no_permission", "run-dir",
				"no permission for %s; run this as root (sudo) or as a member of its group", path);
		missing = true;
	}
	if (missing)
		(void)fprintf(stderr,
			"packetscope: nothing publishes in %s yet (`packetscope up` starts it); waiting\n", s->run_dir);
	return 0;
}

static int set_up(struct watch *w, struct ps_error *err)
{
	const struct ps_settings *s = w->s;

	if (!*s->curve_key != !*s->server_key)
		return ps_error_set(err, -EINVAL, 400, "bad_value", *s->curve_key ? "server-key" : "curve-key",
			"--curve-key (ours, secret) and --server-key (the other side's, public) belong together");
	if (ps_tap_set_run_dir(w->tap, s->run_dir) < 0 ||
		ps_tap_set_endpoints(w->tap, s->events, s->state_at, s->control) < 0 ||
		ps_tap_set_topics(w->tap, s->topics) < 0 || ps_tap_set_where(w->tap, s->where) < 0 ||
		(*s->curve_key && ps_tap_set_keys(w->tap, s->curve_key, s->server_key) < 0))
		return tap_failed(w, err);
	ps_tap_keep_table(w->tap, s->table);
	ps_tap_on_gap(w->tap, on_gap, w);
	ps_tap_on_resync(w->tap, on_resync, w);
	return choose_fields(w, err);
}

/* Until `count` records are shown, or the reader of our output has gone. */
static int run(struct watch *w, struct ps_error *err)
{
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;
	const struct ps_tap_record *r;
	uint64_t shown = 0;

	if (ps_tap_connect(w->tap) < 0)
		return tap_failed(w, err);
	for (;;) {
		int got = ps_tap_next(w->tap, 0, &r);

		/* What there is at once goes out at once. */
		if (out.len && (got <= 0 || out.len > 65536)) {
			if (fwrite(out.data, 1, out.len, stdout) != out.len || fflush(stdout) != 0)
				return errno == EPIPE ? 0
						      : ps_error_set(err, -errno, 500, "output", "", "cannot write: %s",
								strerror(errno));
			ps_buf_reset(&out);
		}
		if (got == 0)
			got = ps_tap_next(w->tap, -1, &r);
		if (got == -EINTR)
			continue;
		if (got < 0)
			return tap_failed(w, err);
		add_line(w, &out, r);
		if (w->s->count && ++shown == w->s->count)
			break;
	}
	return fwrite(out.data, 1, out.len, stdout) == out.len && fflush(stdout) == 0 ? 0 : -errno;
}

int ps_verb_watch(const struct ps_settings *s, int n, char **operands)
{
	_cleanup_(ps_tap_free) struct ps_tap *tap = ps_tap_new();
	struct watch w = {.s = s, .tap = tap, .colour = ps_cli_colour()};
	struct ps_error err = {0};

	(void)operands;
	if (n > 0)
		return ps_cli_usage("watch", "takes no operands; topics go to --topics");
	if (!tap)
		return PS_EXIT_FAILED;
	if (set_up(&w, &err) < 0)
		return ps_cli_fail(&err), PS_EXIT_USAGE;
	if (look(s, &err) < 0 || run(&w, &err) < 0)
		return ps_cli_fail(&err);
	return PS_EXIT_OK;
}
