#include "cli/reporter.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "cli/api.h"
#include "cli/limits.h"
#include "cli/summary.h"
#include "cli/verb.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/codec/json.h"
#include "common/limits.h"

struct ps_reporter {
	const struct ps_settings *settings;
	bool colour;
	struct ps_fetch *client;
	pthread_t thread;
	bool running;
	int wake;        /* eventfd */
	atomic_int stop; /* read by the client while it waits */
	struct ps_reading readings[2];
};

/* Sleeps; true when it is time to stop. */
static bool pause_ms(struct ps_reporter *r, uint64_t ms)
{
	struct pollfd pfd = {.fd = r->wake, .events = POLLIN};

	(void)poll(&pfd, 1, (int)PS_MIN(ms, (uint64_t)86400000));
	return r->stop;
}

static void say(struct ps_buf *text)
{
	if (text->error == 0) {
		(void)fwrite(text->data, 1, text->len, stdout);
		(void)fflush(stdout);
	}
}

/* True when every part is well; else `missing` lists those that are not, with their reasons. */
static bool is_ready(struct ps_reporter *r, struct ps_buf *missing)
{
	_cleanup_(ps_fetch_reply_free) struct ps_fetch_reply reply = {0};
	_cleanup_(ps_value_free) struct ps_value *health = NULL;
	const struct ps_value *parts;
	struct ps_error err = {0};

	if (ps_fetch_call(r->client, "GET", "/api/health", NULL, &reply, &err) < 0 ||
		ps_json_parse((const char *)reply.body.data, reply.body.len, &health, &err) < 0) {
		ps_buf_addf(missing, " gateway (%s)", err.message);
		return false;
	}
	parts = ps_value_get(health, "parts");
	for (size_t i = 0; i < ps_value_count(parts); i++) {
		const struct ps_value *part = ps_value_at(parts, i);

		if (!ps_value_get_bool(part, "ok", false))
			ps_buf_addf(missing, " %s (%s)", ps_value_key_at(parts, i),
				ps_value_get_string(part, "reason", "down"));
	}
	return ps_value_count(parts) > 0 && missing->len == 0;
}

static bool wait_ready(struct ps_reporter *r)
{
	uint64_t start = ps_clock_boot(), complain = start + PS_UP_READY_COMPLAIN_MS * 1000000ull;

	for (;;) {
		_cleanup_(ps_buf_free) struct ps_buf missing = PS_BUF_INIT;

		if (is_ready(r, &missing))
			break;
		if (r->stop)
			return false;
		if (ps_clock_boot() >= complain && missing.len > 0) {
			ps_log(PS_LOG_WARN, "not ready yet", "missing=\"%s\"", ps_buf_str(&missing) + 1);
			complain = ps_clock_boot() + PS_UP_READY_COMPLAIN_MS * 1000000ull;
		}
		if (pause_ms(r, PS_UP_READY_POLL_MS))
			return false;
	}
	ps_log(PS_LOG_INFO, "ready", "after=%.2fs", (double)(ps_clock_boot() - start) / 1e9);
	return true;
}

static void greet(const struct ps_reporter *r)
{
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;
	const char *url = ps_fetch_base(r->client);

	if (r->settings->json) {
		ps_buf_adds(&out, "{\"ready\":true,\"iface\":");
		ps_json_string(&out, r->settings->iface, strlen(r->settings->iface));
		ps_buf_addf(&out, ",\"url\":\"%s/\"}\n", url);
	} else {
		ps_buf_addf(&out, "Packet Scope is watching %s — %s/\n", r->settings->iface, url);
	}
	say(&out);
}

static int read_now(struct ps_reporter *r, struct ps_reading *reading, struct ps_error *err)
{
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;
	_cleanup_(ps_value_free) struct ps_value *stats = NULL, *connections = NULL;
	uint64_t total = 0, now = ps_clock_boot();
	int ret = ps_api_get(r->client, "/api/stats", &stats, err);

	if (ret == 0)
		ret = ps_api_list(r->client, "/api/connections", PS_UP_TALKER_CONNS, &text, &total, err);
	if (ret == 0)
		ret = ps_json_parse((const char *)text.data, text.len, &connections, err);
	if (ret == 0)
		ps_reading_take(reading, stats, connections, total, now);
	return ret;
}

static void summarise(struct ps_reporter *r, struct ps_reading *before, struct ps_reading *now)
{
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;
	struct ps_error err = {0};

	if (read_now(r, now, &err) < 0) {
		now->valid = false;
		if (!r->stop)
			ps_log(PS_LOG_WARN, "no summary", "reason=\"%s\"", err.message);
		return;
	}
	if (r->settings->json)
		ps_summary_json(before, now, ps_clock_wall(), &out);
	else
		ps_summary_text(before, now, ps_clock_wall(), r->colour, &out);
	say(&out);
}

static void *reporter_main(void *arg)
{
	struct ps_reporter *r = arg;
	uint64_t interval_ms = r->settings->interval / 1000000u, due = ps_clock_boot();
	struct ps_error err = {0};

	if (!wait_ready(r))
		return NULL;
	greet(r);
	if (interval_ms == 0 || r->settings->quiet)
		return NULL;
	if (read_now(r, &r->readings[1], &err) < 0)
		r->readings[1].valid = false;
	for (unsigned i = 0;; i++) {
		uint64_t now = ps_clock_boot();

		due = PS_MAX(due + r->settings->interval, now);
		if (pause_ms(r, (due - now) / 1000000u))
			return NULL;
		summarise(r, &r->readings[(i + 1) % 2], &r->readings[i % 2]);
	}
}

int ps_reporter_new(const struct ps_settings *settings, struct ps_reporter **ret_reporter, struct ps_error *err)
{
	_cleanup_(ps_reporter_free) struct ps_reporter *r = calloc(1, sizeof(*r));
	int ret;

	if (!r)
		return ps_error_set(err, -ENOMEM, 500, "no_memory", "", "out of memory");
	r->settings = settings;
	r->colour = ps_cli_colour();
	r->wake = eventfd(0, EFD_CLOEXEC);
	if (r->wake < 0)
		return ps_error_set(err, -errno, 500, "failed", "", "eventfd: %s", strerror(errno));
	ret = ps_api_open(settings, &r->client, err);
	if (ret < 0)
		return ret;
	ps_fetch_limit(r->client, PS_REQUEST_TIMEOUT_MS + 1000, &r->stop);
	ret = -pthread_create(&r->thread, NULL, reporter_main, r);
	if (ret < 0)
		return ps_error_set(err, ret, 500, "failed", "", "cannot start a thread: %s", strerror(-ret));
	r->running = true;
	*ret_reporter = PS_TAKE(r);
	return 0;
}

void ps_reporter_stop(struct ps_reporter *r)
{
	uint64_t one = 1;

	r->stop = 1;
	(void)!write(r->wake, &one, sizeof(one));
}

void ps_reporter_free(struct ps_reporter **reporter)
{
	struct ps_reporter *r = *reporter;

	if (!r)
		return;
	if (r->running) {
		ps_reporter_stop(r);
		(void)pthread_join(r->thread, NULL);
	}
	ps_fetch_free(&r->client);
	ps_closep(&r->wake);
	free(r);
	*reporter = NULL;
}
