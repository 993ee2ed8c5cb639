#include "ai-worker/job.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ai-worker/limits.h"
#include "common/base/cleanup.h"

static bool is_finished(const struct ps_job *job)
{
	return job->state == PS_JOB_DONE || job->state == PS_JOB_FAILED;
}

static void job_free(struct ps_job *job)
{
	ps_value_free(&job->result);
	free(job);
}

void ps_jobs_free(struct ps_jobs *jobs)
{
	while (jobs->first) {
		struct ps_job *job = jobs->first;

		jobs->first = job->next;
		job_free(job);
	}
	*jobs = (struct ps_jobs){0};
}

int ps_jobs_add(struct ps_jobs *jobs, uint64_t now, void *work, struct ps_job **ret_job, struct ps_error *err)
{
	struct ps_job **at = &jobs->first, *job;

	if (jobs->queued >= PS_AI_QUEUE_MAX)
		return ps_error_set(err, -EBUSY, 429, "busy", "",
			"%u questions are being answered and %u wait; ask again later", jobs->running, jobs->queued);
	job = calloc(1, sizeof(*job));
	if (!job)
		return ps_error_set(err, -ENOMEM, 503, "no_memory", "", "out of memory");
	while (*at)
		at = &(*at)->next;
	*at = job;
	job->id = ++jobs->last_id;
	job->work = work;
	job->changed = now;
	(void)snprintf(job->stage, sizeof(job->stage), "waiting for its turn");
	jobs->queued++;
	*ret_job = job;
	return 0;
}

struct ps_job *ps_jobs_next(struct ps_jobs *jobs, uint64_t now)
{
	if (jobs->running >= PS_AI_RUNNING_MAX)
		return NULL;
	for (struct ps_job *job = jobs->first; job; job = job->next) {
		if (job->state != PS_JOB_QUEUED)
			continue;
		job->state = PS_JOB_RUNNING;
		job->changed = now;
		jobs->queued--;
		jobs->running++;
		return job;
	}
	return NULL;
}

void ps_jobs_finish(struct ps_jobs *jobs, struct ps_job *job, uint64_t now, struct ps_value *result)
{
	bool success = ps_value_get_bool(result, "success", false);

	if (job->state == PS_JOB_QUEUED)
		jobs->queued--;
	else if (job->state == PS_JOB_RUNNING)
		jobs->running--;
	job->state = success ? PS_JOB_DONE : PS_JOB_FAILED;
	job->progress = 100;
	job->changed = now;
	job->work = NULL;
	(void)snprintf(job->stage, sizeof(job->stage), "%s", success ? "done" : "failed");
	ps_value_free(&job->result);
	job->result = result;
}

void ps_job_progress(struct ps_job *job, uint64_t now, unsigned progress, const char *stage)
{
	job->progress = PS_MAX(job->progress, PS_MIN(progress, 99u));
	job->changed = now;
	(void)snprintf(job->stage, sizeof(job->stage), "%s", stage);
}

void ps_jobs_sweep(struct ps_jobs *jobs, uint64_t now)
{
	struct ps_job **at = &jobs->first;
	unsigned finished = 0;

	for (const struct ps_job *job = jobs->first; job; job = job->next)
		finished += is_finished(job);
	while (*at) {
		struct ps_job *job = *at;

		if (is_finished(job) && (finished > PS_AI_JOBS_KEPT || now - job->changed > PS_AI_JOB_KEPT_NS)) {
			*at = job->next;
			job_free(job);
			finished--;
		} else {
			at = &job->next;
		}
	}
}

char *ps_job_id(const struct ps_job *job, char buf[static PS_JOB_ID_TEXT])
{
	(void)snprintf(buf, PS_JOB_ID_TEXT, "j-%" PRIu64, job->id);
	return buf;
}

struct ps_job *ps_jobs_find(const struct ps_jobs *jobs, const char *id)
{
	char text[PS_JOB_ID_TEXT];

	for (struct ps_job *job = jobs->first; job; job = job->next) {
		if (strcmp(ps_job_id(job, text), id) == 0)
			return job;
	}
	return NULL;
}

struct ps_value *ps_job_to_value(const struct ps_job *job, bool with_result)
{
	static const char *const states[] = {"queued", "running", "done", "failed"};
	_cleanup_(ps_value_free) struct ps_value *v = ps_value_map();
	char id[PS_JOB_ID_TEXT];
	int r = ps_value_set(v, "job", ps_value_string(ps_job_id(job, id)));

	r |= ps_value_set(v, "state", ps_value_string(states[job->state]));
	r |= ps_value_set(v, "progress", ps_value_uint(job->progress));
	r |= ps_value_set(v, "stage", ps_value_string(job->stage));
	if (with_result)
		r |= ps_value_set(v, "result", job->result ? ps_value_copy(job->result) : ps_value_null());
	return r ? NULL : PS_TAKE(v);
}
