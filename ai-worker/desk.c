#include "ai-worker/desk.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ai-worker/config.h"
#include "ai-worker/job.h"
#include "ai-worker/limits.h"
#include "ai-worker/question.h"
#include "ai-worker/run.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/codec/json.h"

/* A job's work: its question until it runs, then its run. */
struct work {
	struct work *next;
	struct ps_desk *desk;
	struct ps_job *job;
	bool waits; /* somebody waits for the answer: `req` */
	struct ps_request req;
	struct ps_asked asked;
	uint64_t deadline; /* boot time */
	struct ps_run *run;
	uint64_t wake; /* boot time; 0 = not due */
	bool over;     /* may be freed, once nothing of it is on the stack */
};

struct habits {
	char endpoint[PS_ENDPOINT_TEXT + 32];
	struct ps_llm_habits habits;
};

struct ps_desk {
	struct ps_desk_host host;
	struct ps_ai_config config;
	char file[PATH_MAX]; /* where the configuration is kept */
	unsigned prompt_tokens, answer_tokens;
	struct ps_transport *transport;
	struct ps_ask *aggregator;
	int timer;
	struct ps_jobs jobs;
	struct work *works;
	struct habits habits[PS_AI_HABITS_MAX];
	size_t next_habit;
};

#define NO_TIMER 3600000000000ull
#define CONFIG_FILE_MAX 65536

static void run_more(struct ps_desk *desk);

/* --- jobs ---------------------------------------------------------------------------------------- */

static void work_free(struct work *w)
{
	ps_run_free(&w->run);
	ps_asked_free(&w->asked);
	free(w);
}

static void arm(struct ps_desk *desk)
{
	uint64_t next = UINT64_MAX, now = ps_clock_boot();

	for (const struct work *w = desk->works; w; w = w->next) {
		if (w->over)
			next = now;
		else if (w->wake)
			next = PS_MIN(next, w->wake);
	}
	if (next == UINT64_MAX)
		ps_loop_set_timer(desk->host.loop, desk->timer, 0);
	else
		ps_loop_set_timer(desk->host.loop, desk->timer, next > now ? next - now : 1);
}

static int on_timer(void *arg)
{
	struct ps_desk *desk = arg;
	uint64_t now = ps_clock_boot();

	for (struct work *w = desk->works; w; w = w->next) {
		if (!w->over && w->wake && w->wake <= now) {
			w->wake = 0;
			ps_run_wake(w->run);
		}
	}
	for (struct work **at = &desk->works; *at;) {
		struct work *w = *at;

		if (w->over) {
			*at = w->next;
			work_free(w);
		} else {
			at = &w->next;
		}
	}
	ps_jobs_sweep(&desk->jobs, now);
	run_more(desk);
	arm(desk);
	return 0;
}

static void tell_job(struct ps_desk *desk, const struct ps_job *job)
{
	_cleanup_(ps_value_free) struct ps_value *v = ps_job_to_value(job, false);

	if (v)
		desk->host.on_job(desk->host.arg, v);
}

/* The end of a job, whichever: tells who waits, and leaves the work to the next turn of the loop. */
static void end_work(struct work *w, struct ps_value *result)
{
	struct ps_desk *desk = w->desk;
	struct ps_error err = {0};

	if (w->over) {
		ps_value_free(&result);
		return;
	}
	w->over = true;
	if (w->waits && result)
		desk->host.reply(desk->host.arg, &w->req, 200, result, NULL);
	else if (w->waits) {
		(void)ps_error_set(&err, -ENOMEM, 503, "no_memory", "", "out of memory");
		desk->host.reply(desk->host.arg, &w->req, 503, NULL, &err);
	}
	ps_jobs_finish(&desk->jobs, w->job, ps_clock_boot(), result);
	tell_job(desk, w->job);
	arm(desk);
}

static void on_done(void *arg, struct ps_value *answer)
{
	end_work(arg, answer);
}

static void on_progress(void *arg, unsigned per_cent, const char *stage)
{
	struct work *w = arg;

	ps_job_progress(w->job, ps_clock_boot(), per_cent, stage);
	tell_job(w->desk, w->job);
}

static void on_wake_at(void *arg, uint64_t due)
{
	struct work *w = arg;

	w->wake = due;
	arm(w->desk);
}

static void on_debug(void *arg, const char *step, const char *text)
{
	struct work *w = arg;

	w->desk->host.debug(w->desk->host.arg, step, text);
}

/* The oldest makes room for a new endpoint. */
static struct ps_llm_habits *on_habits(void *arg, const char *endpoint)
{
	struct work *w = arg;
	struct ps_desk *desk = w->desk;
	struct habits *h;

	for (size_t i = 0; i < PS_AI_HABITS_MAX; i++) {
		if (strcmp(desk->habits[i].endpoint, endpoint) == 0)
			return &desk->habits[i].habits;
	}
	h = &desk->habits[desk->next_habit++ % PS_AI_HABITS_MAX];
	*h = (struct habits){0};
	(void)snprintf(h->endpoint, sizeof(h->endpoint), "%s", endpoint);
	return &h->habits;
}

static int start(struct work *w)
{
	struct ps_desk *desk = w->desk;
	_cleanup_(ps_picture_free) struct ps_picture picture = {0};
	struct ps_run_env env = {
		.transport = desk->transport,
		.aggregator = desk->aggregator,
		.prompt_tokens = desk->prompt_tokens,
		.answer_tokens = desk->answer_tokens,
		.habits = on_habits,
		.debug = on_debug,
		.progress = on_progress,
		.done = on_done,
		.wake_at = on_wake_at,
		.arg = w,
	};
	int r = desk->host.picture(desk->host.arg, &picture);

	if (r < 0)
		return r;
	return ps_run_start(&env, &w->asked.question, w->asked.caller, &picture, &desk->config, w->deadline, &w->run);
}

static void run_more(struct ps_desk *desk)
{
	struct ps_job *job;

	while ((job = ps_jobs_next(&desk->jobs, ps_clock_boot()))) {
		if (start(job->work) < 0)
			end_work(job->work, NULL);
	}
}

static int take_question(struct ps_desk *desk, const struct ps_request *req, bool with_filters,
	struct ps_value **ret_body, struct ps_error *err)
{
	struct work *w = calloc(1, sizeof(*w));
	bool async = false;
	int r = w ? ps_asked_read(req->args, with_filters, &w->asked, &async, err) : -ENOMEM;

	if (r == 0) {
		w->desk = desk;
		w->waits = !async;
		w->req = *req;
		w->req.args = NULL;
		w->deadline = ps_clock_boot() + desk->config.timeout * PS_NSEC;
		r = ps_jobs_add(&desk->jobs, ps_clock_boot(), w, &w->job, err);
	}
	if (r < 0) {
		if (w)
			work_free(w);
		return r == -ENOMEM ? 503 : err->status;
	}
	w->next = desk->works;
	desk->works = w;
	/* Begun from the loop: an answer that is there at once comes behind the 202. */
	if (async)
		*ret_body = ps_job_to_value(w->job, false);
	tell_job(desk, w->job);
	w->wake = 0;
	ps_loop_set_timer(desk->host.loop, desk->timer, 1);
	return async ? 202 : PS_DESK_LATER;
}

static int find_job(struct ps_desk *desk, const struct ps_value *args, struct ps_job **ret_job, struct ps_error *err)
{
	const char *id = ps_value_get_string(args, "id", "");

	*ret_job = ps_jobs_find(&desk->jobs, id);
	if (*ret_job)
		return 0;
	(void)ps_error_set(err, -ENOENT, 404, "not_found", "id",
		"there is no job \"%.32s\"; a finished one is remembered for ten minutes", id);
	return 404;
}

static int show_job(struct ps_desk *desk, const struct ps_value *args, struct ps_value **ret_body, struct ps_error *err)
{
	struct ps_job *job = NULL;
	int status = find_job(desk, args, &job, err);

	if (status)
		return status;
	*ret_body = ps_job_to_value(job, true);
	return 200;
}

static int cancel_job(struct ps_desk *desk, const struct ps_value *args, struct ps_error *err)
{
	struct ps_job *job = NULL;
	int status = find_job(desk, args, &job, err);
	struct work *w;

	if (status)
		return status;
	w = job->work;
	if (w) {
		end_work(w, ps_run_failure("none", "The job was cancelled."));
		ps_run_free(&w->run);
	}
	return 204;
}

/* --- the configuration --------------------------------------------------------------------------- */

static void warn_all(const struct ps_desk *desk, const struct ps_value *warnings)
{
	for (size_t i = 0; i < ps_value_count(warnings); i++)
		desk->host.warn(desk->host.arg, ps_value_as_string(ps_value_at(warnings, i), ""));
}

static int keep_config(struct ps_desk *desk)
{
	_cleanup_(ps_value_free) struct ps_value *kept = ps_ai_config_keep(&desk->config);
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;
	int r;

	if (!kept)
		return -ENOMEM;
	ps_json_write_pretty(&text, kept);
	ps_buf_addc(&text, '\n');
	r = ps_file_replace(desk->file, 0600, &text);
	if (text.data)
		explicit_bzero(text.data, text.cap);
	return r;
}

static int set_config(
	struct ps_desk *desk, const struct ps_value *args, struct ps_value **ret_body, struct ps_error *err)
{
	_cleanup_(ps_value_free) struct ps_value *warnings = NULL, *shown = NULL;
	char text[160];
	int r = ps_ai_config_merge(&desk->config, args, &warnings, err);

	if (r < 0)
		return err->status;
	r = keep_config(desk);
	if (r < 0) {
		(void)snprintf(text, sizeof(text),
			"The configuration is in force but could not be kept in the state directory (%s): it will be "
			"gone after a restart.",
			strerror(-r));
		(void)ps_value_append(warnings, ps_value_string(text));
	}
	warn_all(desk, warnings);
	shown = ps_ai_config_show(&desk->config);
	if (shown && ps_value_set(shown, "warnings", PS_TAKE(warnings)) == 0)
		*ret_body = PS_TAKE(shown);
	return 200;
}

static int restore_config(struct ps_desk *desk, struct ps_error *err)
{
	_cleanup_(ps_value_free) struct ps_value *kept = NULL, *warnings = NULL;
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;
	int r = ps_file_read(desk->file, CONFIG_FILE_MAX, &text);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return ps_error_set(
			err, r, 500, "cannot_read", "state-dir", "cannot read %.128s: %s", desk->file, strerror(-r));
	r = ps_json_parse((const char *)text.data, text.len, &kept, err);
	if (text.data)
		explicit_bzero(text.data, text.cap);
	if (r == 0)
		r = ps_ai_config_restore(&desk->config, kept, &warnings, err);
	if (r == -EINVAL || r == -EPERM) {
		/* What was kept is not worth more than the service. */
		desk->host.warn(desk->host.arg, "the kept configuration of the LLM cannot be used; POST it to "
						"/api/ai/config again");
		r = 0;
	}
	warn_all(desk, warnings);
	return r;
}

/* The first line of a file. */
static int read_key_file(const char *path, struct ps_secret *key, struct ps_error *err)
{
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;
	int r = ps_file_read(path, PS_AI_KEY_MAX + 2, &text);
	const char *s = ps_buf_str(&text);
	size_t len = s ? strcspn(s, "\r\n") : 0;

	if (r < 0)
		return ps_error_set(
			err, -EINVAL, 400, "bad_value", "api-key-file", "cannot read %.160s: %s", path, strerror(-r));
	/* An empty file is no key: that is how a container without one is started. */
	r = len ? ps_secret_set(key, s, len) : 0;
	explicit_bzero(text.data, text.cap);
	return r;
}

/* A wrong environment is no reason to be without detectors: it is told, and the LLM is left out. */
static int set_operator(struct ps_desk *desk, struct ps_desk_settings *s, struct ps_error *err)
{
	struct ps_error why = {0};
	char text[400];
	int r = *s->key_file ? read_key_file(s->key_file, &s->key, err) : 0;

	if (r < 0)
		return r;
	ps_ai_config_init(&desk->config, s->allow, s->auto_enforce);
	desk->config.debug = s->debug;
	r = ps_ai_config_operator(&desk->config, s->endpoint, s->model, &s->key, &why);
	ps_secret_free(&s->key);
	if (r == -EINVAL || r == -EPERM) {
		(void)snprintf(text, sizeof(text), "the environment's LLM is not used: %s: %s", why.field, why.message);
		desk->host.warn(desk->host.arg, text);
		r = 0;
	}
	return r;
}

/* --- the whole ----------------------------------------------------------------------------------- */

int ps_desk_new(const struct ps_desk_host *host, struct ps_desk_settings *settings, struct ps_desk **ret_desk,
	struct ps_error *err)
{
	_cleanup_(ps_desk_free) struct ps_desk *desk = calloc(1, sizeof(*desk));
	int r;

	if (!desk)
		return -ENOMEM;
	desk->host = *host;
	desk->prompt_tokens = settings->prompt_tokens;
	desk->answer_tokens = settings->answer_tokens;
	(void)snprintf(desk->file, sizeof(desk->file), "%s/ai.json", settings->state_dir);
	r = set_operator(desk, settings, err);
	if (r == 0)
		r = restore_config(desk, err);
	if (r == 0)
		r = ps_transport_new(host->loop, settings->ca_file, &desk->transport);
	if (r == 0)
		r = ps_ask_new(host->bus, host->loop, host->control, &desk->aggregator, err);
	if (r == 0)
		r = ps_loop_add_timer(host->loop, NO_TIMER, on_timer, desk, &desk->timer);
	if (r < 0)
		return r;
	ps_loop_set_timer(host->loop, desk->timer, 0);
	*ret_desk = PS_TAKE(desk);
	return 0;
}

void ps_desk_free(struct ps_desk **desk)
{
	struct ps_desk *d = *desk;

	if (!d)
		return;
	while (d->works) {
		struct work *w = d->works;

		d->works = w->next;
		work_free(w);
	}
	ps_jobs_free(&d->jobs);
	ps_ask_free(&d->aggregator);
	ps_transport_free(&d->transport);
	ps_ai_config_free(&d->config);
	free(d);
	*desk = NULL;
}

int ps_desk_answer(struct ps_desk *desk, const struct ps_request *req, struct ps_value **ret_body, struct ps_error *err)
{
	int status;

	if (strcmp(req->op, "generate") == 0 || strcmp(req->op, "analyze") == 0) {
		status = take_question(desk, req, *req->op == 'g', ret_body, err);
	} else if (strcmp(req->op, "job") == 0) {
		status = show_job(desk, req->args, ret_body, err);
	} else if (strcmp(req->op, "job.cancel") == 0) {
		return cancel_job(desk, req->args, err);
	} else if (strcmp(req->op, "config.get") == 0) {
		*ret_body = ps_ai_config_show(&desk->config);
		status = 200;
	} else if (strcmp(req->op, "config.set") == 0) {
		status = set_config(desk, req->args, ret_body, err);
	} else {
		return -ENOENT;
	}
	if (status >= 200 && status < 300 && !*ret_body)
		status = 503;
	if (status == 503)
		(void)ps_error_set(err, -ENOMEM, 503, "no_memory", "", "out of memory");
	return status;
}

int ps_desk_status(const struct ps_desk *desk, struct ps_value *status)
{
	const struct ps_ai_config *c = &desk->config;
	bool ready = ps_ai_config_ready(c, NULL);
	int r = ps_value_set(status, "is_configured", ps_value_bool(ready));

	r |= ps_value_set(status, "has_api_key", ps_value_bool(ps_ai_config_key(c) != NULL));
	r |= ps_value_set(status, "has_endpoint", ps_value_bool(*c->endpoint_text != '\0'));
	r |= ps_value_set(status, "has_model", ps_value_bool(*c->model != '\0'));
	r |= ps_value_set(status, "engine", ps_value_string(ready ? "llm" : "local"));
	r |= ps_value_set(status, "model", ps_value_string(ready ? c->model : NULL));
	r |= ps_value_set(status, "auto_enforce", ps_value_bool(c->auto_enforce));
	r |= ps_value_set(status, "jobs_running", ps_value_uint(desk->jobs.running));
	r |= ps_value_set(status, "jobs_queued", ps_value_uint(desk->jobs.queued));
	return r ? -ENOMEM : 0;
}
