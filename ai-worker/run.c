#include "ai-worker/run.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ai-worker/limits.h"
#include "ai-worker/local.h"
#include "ai-worker/redact.h"
#include "ai-worker/reply.h"
#include "ai-worker/vetting.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/codec/json.h"

/* What is needed of the configuration, which may change meanwhile. */
struct backend {
	bool llm; /* else the local engine */
	char why_local[160];
	struct ps_llm_endpoint endpoint;
	struct ps_secret key;
	char model[PS_AI_MODEL_MAX + 1];
	double temperature;
	bool debug, listed;
	struct ps_proposal_policy policy;
};

struct ps_run {
	struct ps_run_env env;
	struct ps_question question;
	char *custom_prompt;
	struct ps_value *caller;
	struct ps_picture picture;
	struct backend backend;
	uint64_t deadline;
	bool finished;

	struct ps_dialogue *dialogue;
	struct ps_transport_call *call;

	struct ps_value *answer; /* as the engine gave it; then with what became of its filters */
	struct ps_vetting *vetting;
};

static const char *engine_of(const struct ps_run *run)
{
	return run->backend.llm ? "llm" : "local";
}

/* --- telling ------------------------------------------------------------------------------------- */

static void debug(const struct ps_run *run, const char *step, const char *text, size_t len)
{
	_cleanup_(ps_buf_free) struct ps_buf safe = PS_BUF_INIT;

	if (!run->backend.debug)
		return;
	ps_secret_redact(&run->backend.key, &safe, text, len);
	if (ps_buf_str(&safe))
		run->env.debug(run->env.arg, step, ps_buf_str(&safe));
}

static void debugf(const struct ps_run *run, const char *step, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void debugf(const struct ps_run *run, const char *step, const char *fmt, ...)
{
	char text[PS_ENDPOINT_TEXT + 512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	debug(run, step, text, strlen(text));
}

static void debug_value(const struct ps_run *run, const char *step, const struct ps_value *v)
{
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;

	if (!run->backend.debug)
		return;
	ps_json_write_pretty(&text, v);
	if (ps_buf_str(&text))
		debug(run, step, ps_buf_str(&text), text.len);
}

static void finish(struct ps_run *run, struct ps_value *answer)
{
	_cleanup_(ps_value_free) struct ps_value *raw = answer;
	struct ps_value *safe = raw ? ps_redact_value(&run->backend.key, raw) : NULL;

	if (run->finished) {
		ps_value_free(&safe);
		return;
	}
	run->finished = true;
	debug_value(run, "result", safe);
	run->env.done(run->env.arg, safe);
}

struct ps_value *ps_run_failure(const char *engine, const char *error)
{
	_cleanup_(ps_value_free) struct ps_value *v = ps_value_map();
	int r = ps_value_set(v, "success", ps_value_bool(false));

	r |= ps_value_set(v, "engine", ps_value_string(engine));
	r |= ps_value_set(v, "error", ps_value_string(error));
	return r ? NULL : PS_TAKE(v);
}

static void fail(struct ps_run *run, const char *error)
{
	struct ps_value *v = ps_run_failure(engine_of(run), error);

	if (v && run->dialogue)
		(void)ps_value_set(v, "tokens_used", ps_value_uint(ps_dialogue_tokens(run->dialogue)));
	finish(run, v);
}

static void progress(struct ps_run *run, unsigned per_cent, const char *stage)
{
	run->env.progress(run->env.arg, per_cent, stage);
}

static uint64_t time_left(const struct ps_run *run)
{
	uint64_t now = ps_clock_boot();

	return run->deadline > now ? run->deadline - now : 0;
}

/* --- the end ------------------------------------------------------------------------------------- */

static int put_engine(struct ps_run *run, struct ps_value *v)
{
	int r = ps_value_set(v, "success", ps_value_bool(true));

	r |= ps_value_set(v, "engine", ps_value_string(engine_of(run)));
	r |= ps_value_set(v, "model", ps_value_string(run->backend.llm ? run->backend.model : NULL));
	r |= ps_value_set(v, "tokens_used", ps_value_uint(run->dialogue ? ps_dialogue_tokens(run->dialogue) : 0));
	if (!run->backend.llm && *run->backend.why_local && !ps_value_get(v, "note"))
		r |= ps_value_set(v, "note", ps_value_string(run->backend.why_local));
	return r;
}

static void conclude(struct ps_run *run)
{
	struct ps_value *v = PS_TAKE(run->answer);
	int r = run->vetting ? ps_vetting_write(run->vetting, v) : 0;

	r |= put_engine(run, v);
	if (r)
		ps_value_free(&v);
	finish(run, v);
}

static void on_vetting_progress(void *arg, size_t done, size_t all)
{
	progress(arg, 80 + (unsigned)(18 * done / all), "checking the proposed rules");
}

static void on_verdict(void *arg, const char *reason, const struct ps_value *filter)
{
	if (reason)
		debugf(arg, "rule", "rejected: %s", reason);
	else
		debug_value(arg, "rule", filter);
}

static void on_vetted(void *arg, int r)
{
	if (r < 0)
		finish(arg, NULL);
	else
		conclude(arg);
}

static void take_answer(struct ps_run *run, struct ps_value *answer)
{
	struct ps_vetting_env env = {
		.aggregator = run->env.aggregator,
		.picture = &run->picture,
		.caller = run->caller,
		.policy = run->backend.policy,
		.progress = on_vetting_progress,
		.verdict = on_verdict,
		.done = on_vetted,
		.arg = run,
	};

	run->answer = answer;
	if (!run->question.with_filters)
		conclude(run);
	else if (ps_vetting_start(&env, ps_value_get(answer, "filters"), &run->vetting) < 0)
		finish(run, NULL);
}

/* --- the local engine ---------------------------------------------------------------------------- */

static void answer_locally(struct ps_run *run)
{
	_cleanup_(ps_value_free) struct ps_value *answer = NULL;

	progress(run, 50, "the local engine looks at the findings and figures");
	answer = ps_local_answer(&run->question, &run->picture);
	if (ps_value_get_bool(answer, "success", false))
		take_answer(run, PS_TAKE(answer));
	else
		finish(run, PS_TAKE(answer));
}

/* --- the LLM ------------------------------------------------------------------------------------- */

static void send_request(struct ps_run *run);

static void read_text(struct ps_run *run)
{
	_cleanup_(ps_value_free) struct ps_value *answer = NULL;
	struct ps_error err = {0};
	char reason[320], failure[512];
	size_t len;
	const char *text = ps_dialogue_text(run->dialogue, &len);
	int r = ps_reply_read(text, len, run->question.with_filters, &answer, &err);

	debug(run, "answer", text, len);
	if (r == 0) {
		*run->env.habits(run->env.arg, run->backend.endpoint.url) = *ps_dialogue_habits(run->dialogue);
		debugf(run, "parse", "the answer has the form that was asked for; %zu filters",
			ps_value_count(ps_value_get(answer, "filters")));
		take_answer(run, PS_TAKE(answer));
		return;
	}
	(void)snprintf(reason, sizeof(reason), "%s%s", err.message,
		ps_dialogue_was_cut(run->dialogue) ? " (it was cut off at the limit of tokens: be brief)" : "");
	debugf(run, "parse", "the answer cannot be used: %s", reason);
	if (r == -EINVAL)
		r = ps_dialogue_repair(run->dialogue, reason);
	if (r == 0) {
		progress(run, 60, "the answer was not usable; asking again");
		send_request(run);
		return;
	}
	(void)snprintf(failure, sizeof(failure),
		"The model's answer cannot be used, also after it was told why: %s. Try another model, or a lower "
		"temperature.",
		reason);
	fail(run, failure);
}

/* Before anything is cut out of it. -ENOMEM. */
static int redact_body(const struct ps_run *run, struct ps_http_answer *answer)
{
	struct ps_buf safe = PS_BUF_INIT;

	ps_secret_redact(&run->backend.key, &safe, (const char *)answer->body.data, answer->body.len);
	ps_buf_free(&answer->body);
	answer->body = safe;
	return safe.error;
}

static void on_answer(void *arg, struct ps_http_answer *answer)
{
	struct ps_run *run = arg;
	struct ps_error err = {0};
	uint64_t wait = 0;
	char stage[80];

	run->call = NULL;
	if (redact_body(run, answer) < 0) {
		finish(run, NULL);
		return;
	}
	debugf(run, "http.response", "status=%d type=\"%s\" bytes=%zu %s", answer->status, answer->content_type,
		answer->body.len, answer->detail);
	if (answer->body.len > 0)
		debug(run, "http.response", (const char *)answer->body.data, answer->body.len);
	switch (ps_dialogue_take(run->dialogue, answer, time_left(run), ps_clock_wall(), &wait, &err)) {
	case PS_DIALOGUE_READ:
		read_text(run);
		break;
	case PS_DIALOGUE_FAILED:
		fail(run, err.message);
		break;
	case PS_DIALOGUE_SEND:
		if (wait == 0) {
			debugf(run, "parse", "the endpoint refuses a part of the request; output mode %s from now on",
				ps_llm_mode_name(ps_dialogue_habits(run->dialogue)->mode));
			send_request(run);
			break;
		}
		(void)snprintf(stage, sizeof(stage), "the endpoint is busy or failed; trying again in %.0f s",
			(double)wait / 1e9);
		progress(run, 30, stage);
		run->env.wake_at(run->env.arg, ps_clock_boot() + wait);
		break;
	}
}

static void send_request(struct ps_run *run)
{
	_cleanup_(ps_buf_free) struct ps_buf body = PS_BUF_INIT;
	const struct backend *b = &run->backend;
	struct ps_http_post post = {
		.url = b->endpoint.url,
		.key = b->key.text ? &b->key : NULL,
		.azure = b->endpoint.azure,
		.body = &body,
		.timeout = time_left(run),
		.reach_all = b->listed,
	};
	char stage[80];

	if (post.timeout == 0) {
		fail(run, "No time was left to ask the endpoint: raise timeout (POST /api/ai/config)");
		return;
	}
	ps_dialogue_request(run->dialogue, &body);
	if (!ps_buf_str(&body)) {
		finish(run, NULL);
		return;
	}
	debugf(run, "http.request", "POST %s\nContent-Type: application/json\n%s", post.url,
		!post.key    ? ""
		: post.azure ? "api-key: [key]"
			     : "Authorization: Bearer [key]");
	debug(run, "http.request", ps_buf_str(&body), body.len);
	(void)snprintf(stage, sizeof(stage), "asking %.60s", b->model);
	progress(run, 20, stage);
	if (ps_transport_post(run->env.transport, &post, on_answer, run, &run->call) < 0)
		finish(run, NULL);
}

static void ask_model(struct ps_run *run)
{
	_cleanup_(ps_buf_free) struct ps_buf system = PS_BUF_INIT, user = PS_BUF_INIT;
	_cleanup_(ps_value_free) struct ps_value *schema = ps_reply_schema(run->question.with_filters);
	struct ps_prompt_extent extent = {0};
	struct ps_dialogue_settings settings = {
		.model = run->backend.model,
		.schema = schema,
		.temperature = run->backend.temperature,
		.answer_tokens = run->env.answer_tokens,
		.habits = *run->env.habits(run->env.arg, run->backend.endpoint.url),
	};

	if (!schema ||
		ps_prompt_write(&run->question, &run->picture, run->env.prompt_tokens, &system, &user, &extent) < 0) {
		finish(run, NULL);
		return;
	}
	settings.system = ps_buf_str(&system);
	settings.user = ps_buf_str(&user);
	debugf(run, "data",
		"%zu of %zu findings, %zu of %zu connections, %zu of %zu ICMP rows, %zu rules; about %zu tokens",
		extent.findings, run->picture.n_findings, extent.connections, run->picture.n_conns, extent.icmp,
		run->picture.n_icmp, extent.rules, extent.tokens);
	if (!settings.system || !settings.user || ps_dialogue_new(&settings, &run->dialogue) < 0) {
		finish(run, NULL);
		return;
	}
	debug(run, "prompt.system", settings.system, system.len);
	debug(run, "prompt.user", settings.user, user.len);
	send_request(run);
}

/* --- gathering ----------------------------------------------------------------------------------- */

static void ask_engine(struct ps_run *run)
{
	if (run->backend.llm)
		ask_model(run);
	else
		answer_locally(run);
}

static void take_icmp(struct ps_picture *p, const struct ps_reply *reply)
{
	struct ps_batch_reader reader;
	struct ps_icmp one;

	p->icmp = calloc(PS_AI_CONTEXT_ICMP, sizeof(*p->icmp));
	if (!p->icmp || ps_batch_reader_init(&reader, PS_RECORD_ICMP, ps_value_get(reply->body, "fields"),
				reply->payload, reply->payload_len) < 0)
		return;
	while (p->n_icmp < PS_AI_CONTEXT_ICMP && ps_batch_next(&reader, &one) > 0)
		p->icmp[p->n_icmp++] = one;
}

static void on_icmp(void *arg, struct ps_reply *reply, const struct ps_error *err)
{
	struct ps_run *run = arg;

	if (!err && reply->payload)
		take_icmp(&run->picture, reply);
	ask_engine(run);
}

static void ask_icmp(struct ps_run *run)
{
	_cleanup_(ps_value_free) struct ps_value *args = ps_value_map();

	if (!run->backend.llm || !run->question.include_icmp) {
		ask_engine(run);
		return;
	}
	if (ps_value_set(args, "limit", ps_value_int(PS_AI_CONTEXT_ICMP)) < 0 ||
		ps_ask_send(run->env.aggregator, "icmp.list", args, PS_AI_PREVIEW_TIMEOUT_MS, on_icmp, run) < 0)
		finish(run, NULL);
}

static void on_rules(void *arg, struct ps_reply *reply, const struct ps_error *err)
{
	struct ps_run *run = arg;

	if (!err)
		run->picture.rules = ps_value_copy(ps_value_get(reply->body, "rules"));
	ask_icmp(run);
}

static void gather(struct ps_run *run)
{
	progress(run, 5, "looking at what is known");
	if (!run->picture.have_snapshot) {
		fail(run, "No snapshot of the connections has come from the aggregator yet; one comes every five "
			  "seconds.");
		return;
	}
	if (!run->question.with_filters)
		ask_icmp(run);
	else if (ps_ask_send(run->env.aggregator, "rules.list", NULL, PS_AI_PREVIEW_TIMEOUT_MS, on_rules, run) < 0)
		finish(run, NULL);
}

/* --- beginning and end --------------------------------------------------------------------------- */

static int set_backend(struct backend *b, const struct ps_ai_config *config)
{
	const struct ps_secret *key = ps_ai_config_key(config);
	const char *why = NULL;

	b->debug = config->debug;
	b->policy.enforce = config->auto_enforce;
	b->llm = ps_ai_config_ready(config, &why);
	b->policy.source = b->llm ? "ai" : "detector";
	if (!b->llm) {
		(void)snprintf(b->why_local, sizeof(b->why_local), "Answered by the local engine: %s.", why);
		return 0;
	}
	b->endpoint = config->endpoint;
	b->listed = ps_endpoint_listed(&config->endpoint, config->allow);
	b->temperature = config->temperature;
	memcpy(b->model, config->model, sizeof(b->model));
	return key ? ps_secret_set(&b->key, key->text, key->len) : 0;
}

static void debug_question(const struct ps_run *run)
{
	const struct ps_question *q = &run->question;

	debugf(run, "request",
		"%s analyze_type=%s include_tcp=%d include_icmp=%d include_stats=%d engine=%s model=\"%s\" "
		"custom_prompt=\"%s\"",
		q->with_filters ? "generate" : "analyze", ps_analyze_type_name(q->type), q->include_tcp,
		q->include_icmp, q->include_stats, engine_of(run), run->backend.model, q->custom_prompt);
}

int ps_run_start(const struct ps_run_env *env, const struct ps_question *question, const struct ps_value *caller,
	struct ps_picture *picture, const struct ps_ai_config *config, uint64_t deadline, struct ps_run **ret_run)
{
	_cleanup_(ps_run_free) struct ps_run *run = calloc(1, sizeof(*run));

	if (!run)
		return -ENOMEM;
	run->env = *env;
	run->question = *question;
	run->deadline = deadline;
	run->custom_prompt = strdup(question->custom_prompt);
	run->question.custom_prompt = run->custom_prompt;
	run->caller = caller ? ps_value_copy(caller) : NULL;
	if (!run->custom_prompt || (caller && !run->caller) || set_backend(&run->backend, config) < 0)
		return -ENOMEM;
	run->picture = *picture;
	*picture = (struct ps_picture){0};
	ps_picture_sort_findings(&run->picture);
	*ret_run = run;
	debug_question(run);
	gather(PS_TAKE(run));
	return 0;
}

void ps_run_wake(struct ps_run *run)
{
	if (!run->finished && !run->call)
		send_request(run);
}

void ps_run_free(struct ps_run **run)
{
	struct ps_run *r = *run;

	if (!r)
		return;
	if (r->env.transport)
		ps_transport_cancel(r->env.transport, &r->call);
	if (r->env.aggregator)
		ps_ask_forget(r->env.aggregator, r);
	ps_vetting_free(&r->vetting);
	ps_dialogue_free(&r->dialogue);
	ps_value_free(&r->answer);
	ps_value_free(&r->caller);
	ps_secret_free(&r->backend.key);
	ps_picture_free(&r->picture);
	free(r->custom_prompt);
	free(r);
	*run = NULL;
}
