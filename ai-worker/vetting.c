#include "ai-worker/vetting.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ai-worker/limits.h"
#include "common/base/cleanup.h"

struct ps_vetting {
	struct ps_vetting_env env;
	struct ps_proposal proposals[PS_AI_FILTERS_MAX];
	size_t n, previewed;
	struct ps_value *rejected;
	size_t n_rejected;
};

static void reject(struct ps_vetting *v, const struct ps_value *rule, const char *reason)
{
	struct ps_value *row;

	v->env.verdict(v->env.arg, reason, NULL);
	v->n_rejected++;
	if (ps_value_count(v->rejected) >= PS_AI_REJECTED_MAX)
		return;
	row = ps_value_map();
	if ((ps_value_set(row, "rule", ps_value_copy(rule)) | ps_value_set(row, "reason", ps_value_string(reason))) ==
		0)
		(void)ps_value_append(v->rejected, PS_TAKE(row));
	ps_value_free(&row);
}

static void preview_next(struct ps_vetting *v);

static void on_preview(void *arg, struct ps_reply *reply, const struct ps_error *err)
{
	struct ps_vetting *v = arg;
	struct ps_proposal *p = &v->proposals[v->previewed++];
	struct ps_error why = {0};
	char text[320] = "";

	if (err)
		(void)snprintf(text, sizeof(text), "it could not be checked: %s", err->message);
	else if (ps_proposal_settle(p, reply->body, &why) < 0)
		(void)snprintf(text, sizeof(text), "%s", *why.message ? why.message : "no memory to check it");
	if (*text) {
		reject(v, p->filter, text);
		ps_value_free(&p->filter);
	} else {
		v->env.verdict(v->env.arg, NULL, p->filter);
	}
	preview_next(v);
}

static void preview_next(struct ps_vetting *v)
{
	_cleanup_(ps_value_free) struct ps_value *args = ps_value_map();
	int r;

	if (v->previewed >= v->n) {
		v->env.done(v->env.arg, 0);
		return;
	}
	v->env.progress(v->env.arg, v->previewed, v->n);
	r = ps_value_set(args, "rule", ps_proposal_candidate(&v->proposals[v->previewed]));
	if (v->env.caller)
		r |= ps_value_set(args, "caller", ps_value_copy(v->env.caller));
	if (r == 0)
		r = ps_ask_send(v->env.aggregator, "rules.preview", args, PS_AI_PREVIEW_TIMEOUT_MS, on_preview, v);
	if (r < 0)
		v->env.done(v->env.arg, -ENOMEM);
}

static void read_all(struct ps_vetting *v, const struct ps_value *filters)
{
	char beyond[96];

	(void)snprintf(beyond, sizeof(beyond), "more than %d rules were proposed; only the first %d are looked at",
		PS_AI_FILTERS_MAX, PS_AI_FILTERS_MAX);
	for (size_t i = 0; i < ps_value_count(filters); i++) {
		const struct ps_value *given = ps_value_at(filters, i);
		struct ps_error err = {0};

		if (i >= PS_AI_FILTERS_MAX)
			reject(v, given, beyond);
		else if (ps_proposal_read(given, v->env.picture, &v->env.policy, v->proposals, v->n,
				 &v->proposals[v->n], &err) < 0)
			reject(v, given, *err.message ? err.message : "no memory to check it");
		else
			v->n++;
	}
}

int ps_vetting_start(const struct ps_vetting_env *env, const struct ps_value *filters, struct ps_vetting **ret_vetting)
{
	struct ps_vetting *v = calloc(1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	v->env = *env;
	v->rejected = ps_value_list();
	*ret_vetting = v; /* it is needed when done comes at once */
	read_all(v, filters);
	preview_next(v);
	return 0;
}

void ps_vetting_free(struct ps_vetting **vetting)
{
	struct ps_vetting *v = *vetting;

	if (!v)
		return;
	ps_ask_forget(v->env.aggregator, v);
	for (size_t i = 0; i < PS_AI_FILTERS_MAX; i++)
		ps_proposal_free(&v->proposals[i]);
	ps_value_free(&v->rejected);
	free(v);
	*vetting = NULL;
}

int ps_vetting_write(struct ps_vetting *v, struct ps_value *answer)
{
	_cleanup_(ps_value_free) struct ps_value *filters = ps_value_list();
	int r = 0;

	for (size_t i = 0; i < v->n; i++) {
		if (v->proposals[i].filter)
			r |= ps_value_append(filters, PS_TAKE(v->proposals[i].filter));
	}
	r |= ps_value_set(answer, "filters", PS_TAKE(filters));
	if (v->n_rejected > ps_value_count(v->rejected))
		r |= ps_value_set(answer, "rejected_in_all", ps_value_uint(v->n_rejected));
	r |= ps_value_set(answer, "rejected", PS_TAKE(v->rejected));
	return r ? -ENOMEM : 0;
}
