/* The question after a change that undoes itself: Enter, Ctrl-C, silence, and a terminal that goes away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "cli/confirm.h"
#include "common/base/clock.h"

struct pipes {
	int in[2], out[2];
};

static void open_pipes(struct pipes *p)
{
	assert_int_equal(pipe(p->in), 0);
	assert_int_equal(pipe2(p->out, O_NONBLOCK), 0);
}

/* What was written, after the wait. */
static void close_pipes(struct pipes *p, char *said, size_t size)
{
	ssize_t n = read(p->out[0], said, size - 1);

	said[n > 0 ? n : 0] = '\0';
	for (int i = 0; i < 2; i++) {
		(void)close(p->in[i]);
		(void)close(p->out[i]);
	}
}

static void enter_keeps(void **state)
{
	struct pipes p;
	char said[1024];

	(void)state;
	open_pipes(&p);
	assert_int_equal(write(p.in[1], "yes", 3), 3); /* half a line is no answer yet */
	assert_int_equal(write(p.in[1], "\n", 1), 1);
	assert_int_equal(ps_confirm_wait(p.in[0], p.out[1], 60), PS_CONFIRM_KEEP);
	close_pipes(&p, said, sizeof(said));
	assert_non_null(strstr(said, "undone in 60 s"));
}

static void silence_is_no(void **state)
{
	uint64_t start = ps_clock_boot(), took;
	struct pipes p;
	char said[1024];

	(void)state;
	open_pipes(&p);
	assert_int_equal(ps_confirm_wait(p.in[0], p.out[1], 2), PS_CONFIRM_LATE);
	took = ps_clock_boot() - start;
	close_pipes(&p, said, sizeof(said));
	assert_in_range(took, 2 * PS_NSEC, 4 * PS_NSEC);
	assert_non_null(strstr(said, "undone in 2 s"));
	assert_non_null(strstr(said, "undone in 1 s"));
}

static void a_terminal_that_goes(void **state)
{
	struct pipes p;
	char said[1024];

	(void)state;
	open_pipes(&p);
	(void)close(p.in[1]);
	p.in[1] = -1;
	assert_int_equal(ps_confirm_wait(p.in[0], p.out[1], 60), PS_CONFIRM_LEFT);
	close_pipes(&p, said, sizeof(said));
}

static void interrupt_after(int ms)
{
	const struct itimerval t = {.it_value.tv_usec = ms * 1000};

	assert_int_equal(setitimer(ITIMER_REAL, &t, NULL), 0);
}

static void on_alarm(int sig)
{
	(void)sig;
	(void)raise(SIGINT);
}

static void control_c_leaves_it(void **state)
{
	struct sigaction before = {.sa_handler = SIG_IGN}, now;
	struct pipes p;
	char said[1024];

	(void)state;
	assert_int_equal(sigaction(SIGINT, &before, NULL), 0);
	(void)signal(SIGALRM, on_alarm);
	open_pipes(&p);
	interrupt_after(200);
	assert_int_equal(ps_confirm_wait(p.in[0], p.out[1], 60), PS_CONFIRM_LEFT);
	close_pipes(&p, said, sizeof(said));
	/* and what the program did about the signal before it does again */
	assert_int_equal(sigaction(SIGINT, NULL, &now), 0);
	assert_ptr_equal(now.sa_handler, SIG_IGN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(enter_keeps),
		cmocka_unit_test(silence_is_no),
		cmocka_unit_test(a_terminal_that_goes),
		cmocka_unit_test(control_c_leaves_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
