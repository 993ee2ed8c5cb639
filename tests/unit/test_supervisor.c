/* Processes and the supervisor, with real ones: /bin/sh stands in for a part. */
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

#include "cli/supervisor.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"

#define SH(script) ((char *const[]){"/bin/sh", "-c", script, NULL})
#define MS 1000000ull

static bool alive(pid_t pid)
{
	return kill(pid, 0) == 0;
}

/* --- one process --------------------------------------------------------------------------------- */

static void runs_to_its_end(void **state)
{
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;
	struct ps_process_end end;
	char text[PS_PROCESS_END_TEXT];

	(void)state;
	assert_int_equal(ps_process_run(SH("echo hello; cat; exit 3"), 5000, &out, &end), 0);
	assert_string_equal(ps_buf_str(&out), "hello\n");
	assert_false(end.signalled);
	assert_int_equal(end.code, 3);
	assert_string_equal(ps_process_describe(&end, text), "exit code 3");

	assert_int_equal(ps_process_run(SH("kill -9 $$"), 5000, NULL, &end), 0);
	assert_true(end.signalled);
	assert_string_equal(ps_process_describe(&end, text), "signal 9 (Killed)");

	assert_int_equal(ps_process_run((char *const[]){"/no/such/program", NULL}, 5000, NULL, &end), 0);
	assert_int_equal(end.code, 127);
}

static void is_stopped_in_time(void **state)
{
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;
	struct ps_process_end end;
	uint64_t start = ps_clock_boot();

	(void)state;
	assert_int_equal(ps_process_run(SH("echo begun; exec sleep 60"), 200, &out, &end), -ETIMEDOUT);
	assert_true(ps_clock_boot() - start < 3000 * MS);
}

static void hard_to_stop(void **state)
{
	struct ps_process p = PS_PROCESS_NONE;
	int ends[2];
	char c;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(ps_process_start(SH("trap '' TERM; echo; while :; do sleep 0.05; done"), ends[1],
				 PS_PROCESS_LEASHED, &p),
		0);
	assert_int_equal(read(ends[0], &c, 1), 1); /* the trap is set */
	assert_true(ps_process_stop(&p, 200));
	assert_int_equal(p.pidfd, -1);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

/* A child must not inherit what our loop did to its signals, and a Ctrl-C must not reach it. */
static void signals_and_group(void **state)
{
	static const int ignored[] = {SIGPIPE, SIGQUIT, SIGTSTP, SIGUSR1, SIGXFSZ, SIGWINCH};
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;
	struct ps_process_end end;
	sigset_t set, before;
	char own[32];

	(void)state;
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &set, &before);
	for (size_t i = 0; i < PS_ARRAY_SIZE(ignored); i++)
		(void)signal(ignored[i], SIG_IGN);
	assert_int_equal(ps_process_run(SH("grep -E '^Sig(Blk|Ign)' /proc/self/status; cut -d' ' -f5 /proc/self/stat"),
				 5000, &out, &end),
		0);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	for (size_t i = 0; i < PS_ARRAY_SIZE(ignored); i++)
		(void)signal(ignored[i], SIG_DFL);
	assert_non_null(strstr(ps_buf_str(&out), "SigBlk:\t0000000000000000\n"));
	/* of the standard ones: 32 and 33 are the C library's own and cannot be set */
	assert_non_null(strstr(ps_buf_str(&out), "SigIgn:\t"));
	assert_int_equal(strtoull(strstr(ps_buf_str(&out), "SigIgn:\t") + 8, NULL, 16) & 0x7fffffff, 0);
	(void)snprintf(own, sizeof(own), "\n%d\n", (int)getpgrp());
	assert_null(strstr(ps_buf_str(&out), own));
}

/* Running, not a zombie that init has yet to reap. */
static bool runs(pid_t pid)
{
	char path[64], stat[256] = "", *paren;
	_cleanup_fclose_ FILE *f = NULL;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	return f && fgets(stat, sizeof(stat), f) && (paren = strrchr(stat, ')')) && paren[2] != 'Z';
}

/* Starts a child from a process that is then killed. Returns the child. */
static pid_t orphan(enum ps_process_bond bond)
{
	int ends[2];
	pid_t parent, child = 0;

	assert_int_equal(pipe(ends), 0);
	parent = fork();
	if (parent == 0) {
		struct ps_process p;

		if (ps_process_start(SH("exec sleep 60"), -1, bond, &p) == 0)
			(void)!write(ends[1], &p.pid, sizeof(p.pid));
		(void)pause();
		_exit(0);
	}
	assert_int_equal(read(ends[0], &child, sizeof(child)), sizeof(child));
	assert_true(child > 1 && runs(child));
	(void)kill(parent, SIGKILL);
	(void)waitpid(parent, NULL, 0);
	(void)close(ends[0]);
	(void)close(ends[1]);
	return child;
}

static void bonds(void **state)
{
	struct ps_process p = PS_PROCESS_NONE;
	uint64_t end = ps_clock_boot() + 5000 * MS;
	pid_t child = orphan(PS_PROCESS_LEASHED);

	(void)state;
	while (runs(child) && ps_clock_boot() < end)
		(void)usleep(10000);
	assert_false(runs(child));

	child = orphan(PS_PROCESS_OUTLIVES);
	(void)usleep(200000);
	assert_true(runs(child));
	assert_int_equal(ps_process_adopt(child, &p), 0);
	ps_process_signal(&p, SIGKILL);
	ps_closep(&p.pidfd);
}

static void finds_programs(void **state)
{
	char path[PATH_MAX];
	struct ps_error err = {0};

	(void)state;
	assert_int_equal(ps_program_find("sh", path, &err), 0);
	assert_int_equal(access(path, X_OK), 0);
	assert_int_equal(ps_program_find("packetscope-no-such-part", path, &err), -ENOENT);
	assert_non_null(strstr(err.message, "packetscope-no-such-part"));
}

/* --- the supervisor ------------------------------------------------------------------------------ */

struct diary {
	struct ps_loop *loop;
	struct ps_supervisor *supervisor;
	char text[1024];
	unsigned deaths, kill_until, end_at;
	uint64_t first_gap, died_at;
	struct ps_process_end last;
};

static int note(void *arg, const struct ps_child_note *n)
{
	struct diary *d = arg;
	size_t len = strlen(d->text);

	(void)snprintf(
		d->text + len, sizeof(d->text) - len, "%s%c ", n->name, n->event == PS_CHILD_STARTED ? '+' : '-');
	if (n->event == PS_CHILD_STARTED) {
		if (d->died_at && !d->first_gap)
			d->first_gap = ps_clock_boot() - d->died_at;
		if (d->deaths < d->kill_until)
			(void)kill(n->pid, SIGKILL);
		return 0;
	}
	d->last = n->end;
	d->died_at = ps_clock_boot();
	return ++d->deaths == d->end_at ? 42 : 0;
}

static int timeout(void *arg)
{
	(void)arg;
	return -ETIMEDOUT;
}

static void begin(struct diary *d)
{
	assert_int_equal(ps_loop_new(&d->loop), 0);
	assert_int_equal(ps_loop_add_timer(d->loop, 10000 * MS, timeout, NULL, NULL), 0);
	assert_int_equal(ps_supervisor_new(d->loop, note, d, &d->supervisor), 0);
}

static void finish(struct diary *d)
{
	ps_supervisor_free(&d->supervisor);
	ps_loop_free(&d->loop);
}

static void starts_again_what_dies(void **state)
{
	struct diary d = {.kill_until = 3, .end_at = 3};

	(void)state;
	begin(&d);
	assert_int_equal(ps_supervisor_add(d.supervisor, "a", SH("exec sleep 60")), 0);
	assert_int_equal(ps_loop_run(d.loop), 42);
	assert_string_equal(d.text, "a+ a- a+ a- a+ a- ");
	assert_true(d.last.signalled && d.last.code == SIGKILL);
	assert_true(d.first_gap < 200 * MS);
	finish(&d);
}

/* What is meant for one part is in that part's environment, at every start, and in no other's. */
static void an_environment_of_its_own(void **state)
{
	char *const envp[] = {"PS_TEST_SECRET=for-one", NULL};
	struct diary d = {.end_at = 3};

	(void)state;
	begin(&d);
	assert_int_equal(ps_supervisor_add_with(d.supervisor, "with",
				 SH("[ \"$PS_TEST_SECRET\" = for-one ] && exec sleep 0.05; exit 9"), envp),
		0);
	assert_int_equal(
		ps_supervisor_add(d.supervisor, "without", SH("[ -z \"$PS_TEST_SECRET\" ] && exec sleep 60")), 0);
	assert_int_equal(ps_loop_run(d.loop), 42);
	assert_int_equal(d.last.code, 0);
	finish(&d);
}

static void one_death_is_nobody_elses(void **state)
{
	struct diary d = {.end_at = 2};
	pid_t b;

	(void)state;
	begin(&d);
	assert_int_equal(ps_supervisor_add(d.supervisor, "b", SH("exec sleep 60")), 0);
	b = ps_supervisor_pid(d.supervisor, "b");
	assert_int_equal(ps_supervisor_add(d.supervisor, "a", SH("exit 7")), 0);
	assert_int_equal(ps_loop_run(d.loop), 42);
	assert_int_equal(d.last.code, 7);
	assert_false(d.last.signalled);
	assert_true(b > 0 && ps_supervisor_pid(d.supervisor, "b") == b && alive(b));
	assert_int_equal(ps_supervisor_pid(d.supervisor, "nobody"), 0);
	finish(&d);
	assert_false(alive(b));
}

static void stops_in_order(void **state)
{
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;
	struct diary d = {0};
	char script[160], path[] = "/tmp/ps-test-supervisor-XXXXXX";
	int fd = mkstemp(path);
	char text[32] = "";

	(void)state;
	assert_true(fd >= 0);
	begin(&d);
	(void)snprintf(script, sizeof(script),
		"trap 'echo $0 >> %s; exit 0' TERM; touch %s.$0; while :; do sleep 0.02; done", path, path);
	assert_int_equal(ps_supervisor_add(d.supervisor, "1", (char *const[]){"/bin/sh", "-c", script, "1", NULL}), 0);
	assert_int_equal(ps_supervisor_add(d.supervisor, "2", (char *const[]){"/bin/sh", "-c", script, "2", NULL}), 0);
	for (int i = 1; i <= 2; i++) {
		char flag[64];

		(void)snprintf(flag, sizeof(flag), "%s.%d", path, i);
		for (int k = 0; k < 500 && access(flag, F_OK) != 0; k++)
			(void)usleep(10000);
		(void)unlink(flag);
	}
	assert_int_equal(ps_supervisor_stop(d.supervisor, 3000), 0);
	assert_int_equal(read(fd, text, sizeof(text) - 1), 4);
	assert_string_equal(text, "2\n1\n");
	assert_int_equal(ps_supervisor_pid(d.supervisor, "1"), 0);
	finish(&d);
	(void)close(fd);
	(void)unlink(path);
}

static void a_callback_may_end_it(void **state)
{
	struct diary d = {.end_at = 1};

	(void)state;
	begin(&d);
	assert_int_equal(ps_supervisor_add(d.supervisor, "a", SH("exit 2")), 0);
	assert_int_equal(ps_loop_run(d.loop), 42);
	assert_string_equal(d.text, "a+ a- ");
	finish(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs_to_its_end),
		cmocka_unit_test(is_stopped_in_time),
		cmocka_unit_test(hard_to_stop),
		cmocka_unit_test(signals_and_group),
		cmocka_unit_test(bonds),
		cmocka_unit_test(finds_programs),
		cmocka_unit_test(starts_again_what_dies),
		cmocka_unit_test(an_environment_of_its_own),
		cmocka_unit_test(one_death_is_nobody_elses),
		cmocka_unit_test(stops_in_order),
		cmocka_unit_test(a_callback_may_end_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
