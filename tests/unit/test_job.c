/* Jobs: how many run, how many wait, and for how long they are remembered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "ai-worker/job.h"
#include "ai-worker/limits.h"
#include "common/base/cleanup.h"

static struct ps_value *result(bool success)
{
	struct ps_value *v = ps_value_map();

	assert_int_equal(ps_value_set(v, "success", ps_value_bool(success)), 0);
	return v;
}

static void bounded(void **state)
{
	_cleanup_(ps_jobs_free) struct ps_jobs jobs = {0};
	struct ps_job *job = NULL, *first = NULL;
	struct ps_error err = {0};

	(void)state;
	for (int i = 0; i < PS_AI_QUEUE_MAX; i++)
		assert_int_equal(ps_jobs_add(&jobs, 1, NULL, &job, NULL), 0);
	assert_int_equal(ps_jobs_add(&jobs, 1, NULL, &job, &err), -EBUSY);
	assert_int_equal(err.status, 429);
	first = ps_jobs_next(&jobs, 2);
	assert_int_equal(first->id, 1);
	for (int i = 1; i < PS_AI_RUNNING_MAX; i++)
		assert_non_null(ps_jobs_next(&jobs, 2));
	assert_null(ps_jobs_next(&jobs, 2));
	assert_int_equal(ps_jobs_add(&jobs, 3, NULL, &job, NULL), 0);
	ps_jobs_finish(&jobs, first, 4, result(true));
	job = ps_jobs_next(&jobs, 5);
	assert_int_equal(job->id, PS_AI_RUNNING_MAX + 1);
	/* One that waits can be given up too. */
	ps_jobs_finish(&jobs, ps_jobs_find(&jobs, "j-9"), 6, result(false));
	assert_int_equal(jobs.running, PS_AI_RUNNING_MAX);
	assert_int_equal(jobs.queued, PS_AI_QUEUE_MAX - PS_AI_RUNNING_MAX - 1);
}

static void what_is_told(void **state)
{
	_cleanup_(ps_jobs_free) struct ps_jobs jobs = {0};
	_cleanup_(ps_value_free) struct ps_value *v = NULL, *done = NULL;
	struct ps_job *job = NULL;

	(void)state;
	assert_int_equal(ps_jobs_add(&jobs, 1, NULL, &job, NULL), 0);
	(void)ps_jobs_next(&jobs, 1);
	ps_job_progress(job, 2, 40, "asking");
	ps_job_progress(job, 3, 20, "asking again"); /* progress never goes back */
	v = ps_job_to_value(job, false);
	assert_string_equal(ps_value_get_string(v, "job", ""), "j-1");
	assert_string_equal(ps_value_get_string(v, "state", ""), "running");
	assert_int_equal(ps_value_get_int(v, "progress", 0), 40);
	assert_string_equal(ps_value_get_string(v, "stage", ""), "asking again");
	assert_null(ps_value_get(v, "result"));
	ps_jobs_finish(&jobs, job, 4, result(true));
	done = ps_job_to_value(job, true);
	assert_string_equal(ps_value_get_string(done, "state", ""), "done");
	assert_int_equal(ps_value_get_int(done, "progress", 0), 100);
	assert_true(ps_value_get_bool(ps_value_get(done, "result"), "success", false));
	assert_null(ps_jobs_find(&jobs, "j-2"));
	assert_null(ps_jobs_find(&jobs, "1"));
}

static void forgotten(void **state)
{
	_cleanup_(ps_jobs_free) struct ps_jobs jobs = {0};
	struct ps_job *job = NULL;

	(void)state;
	for (uint64_t i = 1; i <= PS_AI_JOBS_KEPT + 10; i++) {
		assert_int_equal(ps_jobs_add(&jobs, i, NULL, &job, NULL), 0);
		(void)ps_jobs_next(&jobs, i);
		ps_jobs_finish(&jobs, job, i, result(i % 2));
		ps_jobs_sweep(&jobs, i);
	}
	assert_null(ps_jobs_find(&jobs, "j-10"));
	assert_non_null(ps_jobs_find(&jobs, "j-11"));
	assert_int_equal(ps_jobs_add(&jobs, 100, NULL, &job, NULL), 0);
	ps_jobs_sweep(&jobs, 1000 + PS_AI_JOB_KEPT_NS);
	assert_null(ps_jobs_find(&jobs, "j-74"));
	assert_ptr_equal(ps_jobs_find(&jobs, "j-75"), job); /* what is not finished stays */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bounded),
		cmocka_unit_test(what_is_told),
		cmocka_unit_test(forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
