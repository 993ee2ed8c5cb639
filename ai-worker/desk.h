/*
 * The desk: takes the questions of the `ai` socket that are about answers in the making and about the configuration
 * (generate, analyze, job, job.cancel, config.get, config.set), keeps the jobs and the configuration, and gives the
 * answers when they are there.
 */
#ifndef PS_AI_DESK_H
#define PS_AI_DESK_H

#include "ai-worker/picture.h"
#include "common/base/error.h"
#include "common/base/secret.h"
#include "common/bus/bus.h"
#include "common/bus/loop.h"

struct ps_desk;

/* What the operator says at the start. */
struct ps_desk_settings {
	const char *state_dir;
	const char *endpoint; /* NULL or "" = none */
	const char *model;    /* NULL or "" = the default */
	const char *key_file; /* "" = none; else the operator's key is its first line, if that is not empty */
	struct ps_secret key; /* of the environment; taken over */
	bool debug;
	const char *allow; /* ps_endpoint_listed */
	const char *ca_file;
	bool auto_enforce;
	unsigned prompt_tokens, answer_tokens;
};

/* What the desk needs of the program. */
struct ps_desk_host {
	struct ps_bus *bus;
	struct ps_loop *loop;
	const char *control; /* endpoint of the aggregator */
	/* What is known now; -ENOMEM. */
	int (*picture)(void *arg, struct ps_picture *ret_picture);
	/* Answers a request that was not answered at once. */
	void (*reply)(void *arg, const struct ps_request *req, int status, const struct ps_value *body,
		const struct ps_error *err);
	/* A job that has moved on: {job, state, progress, stage}. */
	void (*on_job)(void *arg, const struct ps_value *job);
	/* A step of the debug output. */
	void (*debug)(void *arg, const char *step, const char *text);
	/* Something for the log. */
	void (*warn)(void *arg, const char *text);
	void *arg;
};

/* Reads what was kept in the state directory. -errno fills err. */
int ps_desk_new(const struct ps_desk_host *host, struct ps_desk_settings *settings, struct ps_desk **ret_desk,
	struct ps_error *err);
void ps_desk_free(struct ps_desk **desk); /* jobs that run are given up */

#define PS_DESK_LATER 0 /* no status: the answer comes through host.reply */

/*
 * The status of the reply, and *ret_body (the caller's) or err; PS_DESK_LATER; -ENOENT: the op is not the desk's.
 */
int ps_desk_answer(
	struct ps_desk *desk, const struct ps_request *req, struct ps_value **ret_body, struct ps_error *err);

/* Adds is_configured, has_api_key, has_endpoint, has_model, engine, model, endpoint, jobs to a status. -ENOMEM. */
int ps_desk_status(const struct ps_desk *desk, struct ps_value *status);

#endif
