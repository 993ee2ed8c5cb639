/* One `up` a run directory, and the parts of one that was killed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/claim.h"
#include "common/base/file.h"
#include "cli/process.h"
#include "common/base/cleanup.h"
#include "tests/unit/tempdir.h"

static char run_dir[128];

static int make_top(void **state)
{
	int r = tempdir_make(state);

	(void)snprintf(run_dir, sizeof(run_dir), "%s", tempdir_path("", "deep/run"));
	return r;
}

static void one_at_a_time(void **state)
{
	struct ps_claim *claim = NULL, *second = NULL;
	struct ps_error err = {0};
	char pid[24];

	(void)state;
	assert_int_equal(ps_claim_holder(run_dir), 0);
	assert_int_equal(ps_claim_take(run_dir, &claim, &err), 0);
	assert_int_equal(ps_claim_holder(run_dir), getpid());
	assert_int_equal(ps_claim_take(run_dir, &second, &err), -EWOULDBLOCK);
	assert_null(second);
	assert_string_equal(err.code, "already_running");
	(void)snprintf(pid, sizeof(pid), "process %d", (int)getpid());
	assert_non_null(strstr(err.message, pid));
	ps_claim_release(&claim);
	assert_null(claim);
	assert_int_equal(ps_claim_holder(run_dir), 0);
	assert_int_equal(ps_claim_take(run_dir, &claim, &err), 0);
	ps_claim_release(&claim);
	ps_claim_release(&claim);
}

static void cannot_be_made(void **state)
{
	struct ps_claim *claim = NULL;
	struct ps_error err = {0};
	char long_path[2048];

	(void)state;
	assert_true(ps_claim_take("/proc/no/such", &claim, &err) < 0);
	assert_string_equal(err.field, "run-dir");
	memset(long_path, 'a', sizeof(long_path) - 1);
	long_path[0] = '/';
	long_path[sizeof(long_path) - 1] = '\0';
	assert_int_equal(ps_claim_take(long_path, &claim, &err), -ENAMETOOLONG);
	assert_null(claim);
}

/* An `up` with one part that runs `script` is killed. Returns the part, which goes on. */
static pid_t leave_orphan(const char *script)
{
	int ends[2];
	pid_t up, part = 0;

	assert_int_equal(pipe(ends), 0);
	up = fork();
	if (up == 0) {
		(void)alarm(20); /* should the test fail before it kills us */
		struct ps_claim *claim;
		struct ps_process p;
		char *const argv[] = {"/bin/sh", "-c", (char *)script, NULL};

		if (ps_claim_take(run_dir, &claim, NULL) == 0 &&
			ps_process_start(argv, ends[1], PS_PROCESS_OUTLIVES, &p) == 0) {
			ps_claim_part(claim, "part", p.pid);
			(void)!write(ends[1], &p.pid, sizeof(p.pid));
		}
		(void)pause();
		_exit(0);
	}
	assert_int_equal(read(ends[0], &part, sizeof(part)), sizeof(part));
	(void)usleep(100000); /* the shell has set its trap */
	(void)kill(up, SIGKILL);
	(void)waitpid(up, NULL, 0);
	(void)close(ends[0]);
	(void)close(ends[1]);
	return part;
}

static void takes_over_from_a_killed_one(void **state)
{
	struct ps_claim *claim = NULL;
	struct ps_process p = PS_PROCESS_NONE;
	pid_t part = leave_orphan("exec sleep 60");

	(void)state;
	assert_int_equal(ps_process_adopt(part, &p), 0);
	ps_closep(&p.pidfd);
	assert_int_equal(ps_claim_take(run_dir, &claim, NULL), 0);
	ps_claim_release(&claim);
}

/* A part that does not listen is killed in the end. */
static void a_deaf_orphan(void **state)
{
	struct ps_claim *claim = NULL;

	(void)state;
	(void)leave_orphan("trap '' TERM; while :; do sleep 0.05; done");
	assert_int_equal(ps_claim_take(run_dir, &claim, NULL), 0);
	ps_claim_release(&claim);
}

/* Killed between fork and exec of a part: for a moment the part-to-be holds what `up` held. */
static void killed_while_starting_a_part(void **state)
{
	struct ps_claim *claim = NULL;
	int ends[2];
	pid_t up;
	char c;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	up = fork();
	if (up == 0) {
		(void)alarm(20); /* should the test fail before it kills us */
		if (ps_claim_take(run_dir, &claim, NULL) < 0)
			_exit(1);
		if (fork() == 0) {
			(void)usleep(500000);
			_exit(0);
		}
		(void)!write(ends[1], "", 1);
		(void)pause();
		_exit(0);
	}
	assert_int_equal(read(ends[0], &c, 1), 1);
	(void)kill(up, SIGKILL);
	(void)waitpid(up, NULL, 0);
	assert_int_equal(ps_claim_take(run_dir, &claim, NULL), 0);
	ps_claim_release(&claim);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

/* parts.lock is only a hint: a number in it that belongs to a stranger by now harms nobody. */
static void a_stranger_with_an_old_number(void **state)
{
	struct ps_claim *claim = NULL;
	char path[160];
	FILE *f;

	(void)state;
	(void)leave_orphan("trap '' TERM; sleep 0.3");
	(void)snprintf(path, sizeof(path), "%s/parts.lock", run_dir);
	f = fopen(path, "we");
	assert_non_null(f);
	(void)fprintf(f, "part %d 1\npart -1 1\nrubbish\npart 1 1\n", (int)getpid());
	(void)fclose(f);
	assert_int_equal(ps_claim_take(run_dir, &claim, NULL), 0);
	ps_claim_release(&claim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_at_a_time),
		cmocka_unit_test(cannot_be_made),
		cmocka_unit_test(takes_over_from_a_killed_one),
		cmocka_unit_test(a_deaf_orphan),
		cmocka_unit_test(killed_while_starting_a_part),
		cmocka_unit_test(a_stranger_with_an_old_number),
	};

	return cmocka_run_group_tests(tests, make_top, tempdir_remove);
}
