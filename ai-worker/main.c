/* packetscope-ai-worker: listens to the aggregator's snapshots and answers questions about them. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "ai-worker/lookout.h"
#include "ai-worker/worker.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/program.h"
#include "common/bus/loop.h"
#include "common/bus/service.h"

struct settings {
	const char *run_dir, *pin_root, *state_dir, *log_level;
	const char *events, *state, *ai, *findings; /* endpoints; "" = in the run directory */
	struct ps_detect_config detect;
	bool health;
	bool version;
};

static const struct ps_option options[] = {
	PS_OPT_STR("run-dir", 0, struct settings, run_dir, "/run/packetscope", "DIR", "directory of the sockets"),
	PS_OPT_STR("pin-root", 0, struct settings, pin_root, "/sys/fs/bpf/packetscope", "DIR",
		"not used by the AI worker"),
	PS_OPT_STR(
		"state-dir", 0, struct settings, state_dir, "/var/lib/packetscope", "DIR", "not used by the AI worker"),
	PS_OPT_STR("log-level", 0, struct settings, log_level, "info", "LEVEL", "error, warn, info or debug"),
	PS_OPT_STR("state", 0, struct settings, state, "", "ENDPOINT", "where the aggregator publishes"),
	PS_OPT_STR("events", 0, struct settings, events, "", "ENDPOINT", "where the collector publishes"),
	PS_OPT_STR("ai", 0, struct settings, ai, "", "ENDPOINT", "where to answer requests"),
	PS_OPT_STR("findings", 0, struct settings, findings, "", "ENDPOINT", "where to publish findings"),
#define PS_THRESHOLD_NUMBER(...) PS_DETECT_OPTION_NUMBER(struct settings, detect, __VA_ARGS__)
#define PS_THRESHOLD_SECONDS(...) PS_DETECT_OPTION_SECONDS(struct settings, detect, __VA_ARGS__)
#include "common/detect/threshold.def"
	PS_OPT_DEED("health", 0, struct settings, health, "ask the worker that runs whether it is well"),
	PS_OPT_DEED("version", 0, struct settings, version, "print the version"),
	PS_OPT_END,
};

struct program {
	struct ps_worker *worker;
	struct ps_bus *bus;
	struct ps_loop *loop;
	struct ps_subscriber *state;
	struct ps_responder *ai;
	struct ps_lookout *lookout;
};

static int on_message(void *arg)
{
	struct program *p = arg;
	_cleanup_(ps_message_free) struct ps_message m = {0};
	int r = ps_subscriber_next(p->state, &m);

	if (r > 0)
		r = ps_worker_hear(p->worker, &m, ps_clock_boot());
	if (r < 0)
		ps_log(PS_LOG_WARN, "message thrown away", "reason=\"%s\"", strerror(-r));
	return 0;
}

static int on_request(void *arg)
{
	struct program *p = arg;
	_cleanup_(ps_request_free) struct ps_request req = {0};
	_cleanup_(ps_value_free) struct ps_value *body = NULL;
	struct ps_error err = {0};
	int r = ps_responder_next(p->ai, &req), code;

	if (r < 0)
		ps_log(PS_LOG_WARN, "request thrown away", "reason=\"%s\"", strerror(-r));
	if (r <= 0)
		return 0;
	if (strcmp(req.op, "findings") == 0)
		code = ps_lookout_answer(p->lookout, req.args, &body, &err);
	else
		code = ps_worker_answer(p->worker, req.op, req.args, ps_clock_boot(), &body, &err);
	r = ps_responder_reply(p->ai, &req, code, body, NULL, 0, &err);
	if (r < 0)
		ps_log(PS_LOG_WARN, "reply not sent", "reason=\"%s\"", strerror(-r));
	return 0;
}

static void program_free(struct program *p)
{
	ps_loop_free(&p->loop);
	ps_lookout_free(&p->lookout);
	ps_responder_free(&p->ai);
	ps_subscriber_free(&p->state);
	ps_bus_free(&p->bus);
	ps_worker_free(&p->worker);
}

/* Where the sockets are: in the run directory unless an option says otherwise. */
static int find_endpoints(const struct settings *s, struct ps_endpoints *ret_ep, struct ps_error *err)
{
	int r = ps_endpoints_default(s->run_dir, ret_ep);
	const struct {
		const char *name, *given;
		char *to;
	} rows[] = {
		{"events", s->events, ret_ep->events},
		{"state", s->state, ret_ep->state},
		{"ai", s->ai, ret_ep->ai},
		{"findings", s->findings, ret_ep->findings},
	};

	if (r < 0)
		return ps_error_set(err, r, 400, "bad_value", "run-dir", "the path is too long");
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		if (strlen(rows[i].given) >= sizeof(ret_ep->ai))
			return ps_error_set(err, -ENAMETOOLONG, 400, "bad_value", rows[i].name,
				"an endpoint has at most %zu bytes", sizeof(ret_ep->ai) - 1);
		if (*rows[i].given)
			(void)snprintf(rows[i].to, sizeof(ret_ep->ai), "%s", rows[i].given);
	}
	return 0;
}

static int run(const struct settings *s, struct ps_error *err)
{
	_cleanup_(program_free) struct program p = {0};
	struct ps_endpoints ep;
	int r = find_endpoints(s, &ep, err);

	if (r < 0)
		return r;
	if (mkdir(s->run_dir, 0755) < 0 && errno != EEXIST)
		return ps_error_set(err, -errno, 500, "cannot_create", "run-dir", "cannot make %s: %s", s->run_dir,
			strerror(errno));
	r = ps_worker_new(ps_clock_boot(), &p.worker);
	if (r == 0)
		r = ps_loop_new(&p.loop);
	if (r == 0)
		r = ps_loop_handle_signals(p.loop, NULL, NULL);
	if (r == 0)
		r = ps_bus_new(&p.bus);
	if (r == 0)
		r = ps_subscriber_new(p.bus, ep.state, PS_WORKER_TOPICS, &p.state, err);
	if (r == 0)
		r = ps_responder_new(p.bus, ep.ai, &p.ai, err);
	if (r == 0)
		r = ps_loop_add_subscriber(p.loop, p.state, on_message, &p);
	if (r == 0)
		r = ps_loop_add_responder(p.loop, p.ai, on_request, &p);
	if (r == 0)
		r = ps_lookout_new(p.bus, p.loop, &ep, &s->detect, &p.lookout, err);
	if (r < 0)
		return r;
	ps_log(PS_LOG_INFO, "ready", "engine=local");
	return ps_service_run(p.loop);
}

static int ask_health(const struct settings *s)
{
	struct ps_error err = {0};
	struct ps_endpoints ep;
	int r = find_endpoints(s, &ep, &err);

	if (r == 0)
		r = ps_service_ask(ep.ai, NULL, PS_REQUEST_TIMEOUT_MS, &err);
	return ps_service_health(r, &err);
}

static const struct ps_program program = {
	.name = "ai-worker",
	.about = "Listens to snapshots and answers questions about them.",
	.options = options,
};

int main(int argc, char **argv)
{
	struct settings s = {0};
	struct ps_error err = {0};
	int r = ps_program_begin(&program, argc, argv, &s, &s.log_level, &s.version);

	if (r != PS_PROGRAM_GO)
		return r;
	if (s.health)
		return ask_health(&s);
	r = run(&s, &err);
	if (r < 0) {
		ps_log_failure("cannot go on", r, &err);
		return 1;
	}
	ps_log(PS_LOG_INFO, "stopped", NULL);
	return 0;
}
