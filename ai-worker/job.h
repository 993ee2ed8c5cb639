/*
 * Jobs: answers in the making. A bounded number runs, a bounded number waits, and what is finished can be asked for
 * while it is remembered. Pure bookkeeping; `now` is boot time, ns.
 */
#ifndef PS_AI_JOB_H
#define PS_AI_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/model/value.h"

enum ps_job_state {
	PS_JOB_QUEUED,
	PS_JOB_RUNNING,
	PS_JOB_DONE,
	PS_JOB_FAILED,
};

struct ps_job {
	struct ps_job *next;
	uint64_t id;
	enum ps_job_state state;
	unsigned progress; /* per cent */
	char stage[80];    /* what is being done, for a person */
	struct ps_value *result;
	uint64_t changed;
	void *work; /* the owner's; not freed here */
};

struct ps_jobs {
	struct ps_job *first; /* in the order in which they came */
	uint64_t last_id;
	unsigned queued, running;
};

void ps_jobs_free(struct ps_jobs *jobs); /* what it holds; fits _cleanup_ */

/* -EBUSY fills err (429): too many wait. -ENOMEM. */
int ps_jobs_add(struct ps_jobs *jobs, uint64_t now, void *work, struct ps_job **ret_job, struct ps_error *err);
/* The next that may run, now running; NULL = none may. */
struct ps_job *ps_jobs_next(struct ps_jobs *jobs, uint64_t now);
/* Takes the result: a map whose `success` decides between done and failed; NULL (no memory) is a failure. */
void ps_jobs_finish(struct ps_jobs *jobs, struct ps_job *job, uint64_t now, struct ps_value *result);
/* Says where it is. Progress never goes back. */
void ps_job_progress(struct ps_job *job, uint64_t now, unsigned progress, const char *stage);
/* Forgets finished ones that are old or too many. */
void ps_jobs_sweep(struct ps_jobs *jobs, uint64_t now);

/* "j-7" → the job, or NULL. */
struct ps_job *ps_jobs_find(const struct ps_jobs *jobs, const char *id);

#define PS_JOB_ID_TEXT 24
char *ps_job_id(const struct ps_job *job, char buf[static PS_JOB_ID_TEXT]);
/* {job, state, progress, stage, result}; NULL on no memory. */
struct ps_value *ps_job_to_value(const struct ps_job *job, bool with_result);

#endif
