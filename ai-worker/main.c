/* packetscope-ai-worker: listens to the bus, finds what stands out, and answers questions about it, by itself or with
 * an LLM. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "ai-worker/desk.h"
#include "ai-worker/limits.h"
#include "ai-worker/lookout.h"
#include "ai-worker/worker.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/program.h"
#include "common/base/secret.h"
#include "common/bus/loop.h"
#include "common/bus/service.h"

#define PS_STRING(x) PS_STRING_OF(x)
#define PS_STRING_OF(x) #x

struct settings {
	const char *run_dir, *pin_root, *state_dir, *log_level;
	const char *events, *state, *control, *ai, *findings; /* endpoints; "" = in the run directory */
	struct ps_detect_config detect;
	const char *api_key_file, *allow_endpoints, *ca_file;
	bool auto_enforce;
	uint64_t prompt_tokens, answer_tokens;
	bool health;
	bool version;
};

static const struct ps_option options[] = {
	PS_OPT_STR("run-dir", 0, struct settings, run_dir, "/run/packetscope", "DIR", "directory of the sockets"),
	PS_OPT_STR("pin-root", 0, struct settings, pin_root, "/sys/fs/bpf/packetscope", "DIR",
		"not used by the AI worker"),
	PS_OPT_STR("state-dir", 0, struct settings, state_dir, "/var/lib/packetscope", "DIR",
		"directory where the LLM's configuration is kept (ai.json)"),
	PS_OPT_STR("log-level", 0, struct settings, log_level, "info", "LEVEL", "error, warn, info or debug"),
	PS_OPT_STR("state", 0, struct settings, state, "", "ENDPOINT", "where the aggregator publishes"),
	PS_OPT_STR("events", 0, struct settings, events, "", "ENDPOINT", "where the collector publishes"),
	PS_OPT_STR("control", 0, struct settings, control, "", "ENDPOINT", "where the aggregator answers"),
	PS_OPT_STR("ai", 0, struct settings, ai, "", "ENDPOINT", "where to answer requests"),
	PS_OPT_STR("findings", 0, struct settings, findings, "", "ENDPOINT", "where to publish findings and jobs"),
	PS_OPT_STR("api-key-file", 0, struct settings, api_key_file, "", "FILE",
		"a file with the LLM's API key (OPENAI_API_KEY_FILE)"),
	PS_OPT_STR("allow-endpoints", 0, struct settings, allow_endpoints, "", "HOST[:PORT][,…]",
		"the only hosts that may be configured as an LLM (any)"),
	PS_OPT_STR("ca-file", 0, struct settings, ca_file, "", "FILE", "certificates to trust instead of the system's"),
	PS_OPT_BOOL("auto-enforce", 0, struct settings, auto_enforce,
		"propose rules that drop; otherwise shadows that only count"),
	PS_OPT_U64("prompt-tokens", 0, struct settings, prompt_tokens, PS_STRING(PS_AI_PROMPT_TOKENS), 1000,
		PS_AI_PROMPT_TOKENS_MAX, "N", "how long a question may be"),
	PS_OPT_U64("answer-tokens", 0, struct settings, answer_tokens, PS_STRING(PS_AI_ANSWER_TOKENS), 100,
		PS_AI_ANSWER_TOKENS_MAX, "N", "how long an answer may be"),
#define PS_THRESHOLD_NUMBER(...) PS_DETECT_OPTION_NUMBER(struct settings, detect, __VA_ARGS__)
#define PS_THRESHOLD_SECONDS(...) PS_DETECT_OPTION_SECONDS(struct settings, detect, __VA_ARGS__)
#include "common/detect/threshold.def"
	PS_OPT_DEED("health", 0, struct settings, health, "ask the worker that runs whether it is well"),
	PS_OPT_DEED("version", 0, struct settings, version, "print the version"),
	PS_OPT_END,
};

struct program {
	struct ps_worker *worker;
	struct ps_desk *desk;
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

static void reply(
	void *arg, const struct ps_request *req, int status, const struct ps_value *body, const struct ps_error *err)
{
	struct program *p = arg;
	int r = ps_responder_reply(p->ai, req, status, body, NULL, 0, err);

	if (r < 0)
		ps_log(PS_LOG_WARN, "reply not sent", "reason=\"%s\"", strerror(-r));
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
	code = ps_desk_answer(p->desk, &req, &body, &err);
	if (code == -ENOENT && strcmp(req.op, "findings") == 0) {
		code = ps_lookout_answer(p->lookout, req.args, &body, &err);
	} else if (code == -ENOENT) {
		code = ps_worker_answer(p->worker, req.op, req.args, ps_clock_boot(), &body, &err);
		if (code == 200 && strcmp(req.op, "status") == 0 &&
			(ps_desk_status(p->desk, body) < 0 ||
				ps_value_set(body, "detect", ps_lookout_status(p->lookout)) < 0))
			ps_value_free(&body);
	}
	if (code != PS_DESK_LATER)
		reply(p, &req, code, body, &err);
	return 0;
}

/* --- what the desk needs ------------------------------------------------------------------------- */

static int picture(void *arg, struct ps_picture *ret_picture)
{
	struct program *p = arg;

	_cleanup_(ps_picture_free) struct ps_picture pic = {0};
	int r = ps_worker_picture(p->worker, ps_clock_boot(), ps_clock_wall(), &pic);

	if (r == 0)
		r = ps_lookout_recent(p->lookout, pic.wall, &pic.findings, &pic.n_findings);
	if (r < 0)
		return r;
	*ret_picture = pic;
	pic = (struct ps_picture){0};
	return 0;
}

static void on_job(void *arg, const struct ps_value *job)
{
	struct program *p = arg;

	ps_lookout_tell_job(p->lookout, job);
	ps_log(PS_LOG_DEBUG, "job", "job=%s state=%s progress=%lld stage=\"%s\"", ps_value_get_string(job, "job", ""),
		ps_value_get_string(job, "state", ""), (long long)ps_value_get_int(job, "progress", 0),
		ps_value_get_string(job, "stage", ""));
}

static void on_debug(void *arg, const char *step, const char *text)
{
	(void)arg;
	ps_log_text("ai debug", step, text);
}

static void on_warning(void *arg, const char *text)
{
	(void)arg;
	ps_log(PS_LOG_WARN, "configuration", "reason=\"%s\"", text);
}

static void program_free(struct program *p)
{
	ps_desk_free(&p->desk);
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
		{"control", s->control, ret_ep->control},
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

static int open_desk(struct program *p, const struct settings *s, const struct ps_endpoints *ep, struct ps_secret *key,
	struct ps_error *err)
{
	const char *debug = getenv("AI_DEBUG"), *key_file = getenv("OPENAI_API_KEY_FILE");
	struct ps_desk_settings settings = {
		.state_dir = s->state_dir,
		.endpoint = getenv("OPENAI_ENDPOINT"),
		.model = getenv("OPENAI_MODEL"),
		.key_file = *s->api_key_file || !key_file ? s->api_key_file : key_file,
		.key = *key,
		.debug = debug && (strcasecmp(debug, "true") == 0 || strcmp(debug, "1") == 0 ||
					  strcasecmp(debug, "yes") == 0 || strcasecmp(debug, "on") == 0),
		.allow = s->allow_endpoints,
		.ca_file = s->ca_file,
		.auto_enforce = s->auto_enforce,
		.prompt_tokens = (unsigned)s->prompt_tokens,
		.answer_tokens = (unsigned)s->answer_tokens,
	};
	struct ps_desk_host host = {
		.bus = p->bus,
		.loop = p->loop,
		.control = ep->control,
		.picture = picture,
		.reply = reply,
		.on_job = on_job,
		.debug = on_debug,
		.warn = on_warning,
		.arg = p,
	};
	int r;

	*key = (struct ps_secret){0};
	if (mkdir(s->state_dir, 0750) < 0 && errno != EEXIST)
		ps_log(PS_LOG_WARN, "no state directory", "path=\"%s\" reason=\"%s\"", s->state_dir, strerror(errno));
	r = ps_desk_new(&host, &settings, &p->desk, err);
	ps_secret_free(&settings.key);
	return r;
}

static int run(const struct settings *s, struct ps_secret *key, struct ps_error *err)
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
		r = open_desk(&p, s, &ep, key, err);
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
	ps_log(PS_LOG_INFO, "ready", NULL);
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
	.about = "Listens to the bus and answers questions about the traffic, by itself or with an LLM.",
	.options = options,
};

int main(int argc, char **argv)
{
	_cleanup_(ps_secret_free) struct ps_secret key = {0};
	struct settings s = {0};
	struct ps_error err = {0};
	int r;

	/* Before anything else, so that nobody finds it. */
	ps_secret_no_dump();
	(void)ps_secret_take_env("OPENAI_API_KEY", &key);
	r = ps_program_begin(&program, argc, argv, &s, &s.log_level, &s.version);
	if (r != PS_PROGRAM_GO)
		return r;
	if (s.health)
		return ask_health(&s);
	r = run(&s, &key, &err);
	if (r < 0) {
		ps_log_failure("cannot go on", r, &err);
		return err.status == 400 ? 2 : 1; /* 2: starting again will not help */
	}
	ps_log(PS_LOG_INFO, "stopped", NULL);
	return 0;
}
