#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/bus/loop.h"
#include "tempdir.h"

#define MS 1000000ull

/* What the handlers of a test share. */
static struct world {
	struct ps_loop *loop;
	int calls[4];
	int pipe[2], other[2];
	int timer;
	struct ps_subscriber *sub;
	struct ps_publisher *pub;
	struct ps_responder *resp;
	struct ps_requester *rq;
} w;

static int begin(void **state)
{
	(void)state;
	w = (struct world){.timer = -1};
	return ps_loop_new(&w.loop) < 0 || pipe2(w.pipe, O_CLOEXEC) < 0 || pipe2(w.other, O_CLOEXEC) < 0 ? -1 : 0;
}

static int end(void **state)
{
	(void)state;
	ps_loop_free(&w.loop);
	for (int i = 0; i < 2; i++) {
		ps_closep(&w.pipe[i]);
		ps_closep(&w.other[i]);
	}
	return 0;
}

static int count(void *arg)
{
	++*(int *)arg;
	return 0;
}

static int stop(void *arg)
{
	(void)arg;
	ps_loop_stop(w.loop);
	return 0;
}

static int fail_late(void *arg)
{
	(void)arg;
	return -ETIMEDOUT; /* the test takes too long */
}

static void run_for(uint64_t ns)
{
	int timer = 0;
	assert_int_equal(ps_loop_add_timer(w.loop, ns, stop, NULL, &timer), 0);
	assert_int_equal(ps_loop_run(w.loop), 0);
	ps_loop_set_timer(w.loop, timer, 0);
}

struct target {
	const int *count;
	int least;
};

static int reached(void *arg)
{
	const struct target *t = arg;
	if (*t->count >= t->least)
		ps_loop_stop(w.loop);
	return 0;
}

/* Runs until *counter is at least n; returns the ns that it took. A busy machine makes it longer, never wrong. */
static uint64_t run_until(const int *counter, int n)
{
	struct target target = {counter, n};
	int timer = 0, late = 0;
	uint64_t before = ps_clock_boot();
	assert_int_equal(ps_loop_add_timer(w.loop, MS, reached, &target, &timer), 0);
	assert_int_equal(ps_loop_add_timer(w.loop, 10000 * MS, fail_late, NULL, &late), 0);
	assert_int_equal(ps_loop_run(w.loop), 0);
	ps_loop_set_timer(w.loop, timer, 0);
	ps_loop_set_timer(w.loop, late, 0);
	return ps_clock_boot() - before;
}

/* --- timers -------------------------------------------------------------------------------------- */

static void timers_repeat(void **state)
{
	(void)state;
	uint64_t before = ps_clock_boot();
	assert_int_equal(ps_loop_add_timer(w.loop, 10 * MS, count, &w.calls[0], NULL), 0);
	assert_int_equal(ps_loop_add_timer(w.loop, 40 * MS, count, &w.calls[1], NULL), 0);
	assert_int_equal(ps_loop_add_timer(w.loop, 0, count, &w.calls[2], NULL), 0);
	(void)run_until(&w.calls[0], 20);
	uint64_t took = ps_clock_boot() - before;
	assert_true(took >= 200 * MS);
	assert_in_range(w.calls[0], 20, took / (10 * MS));
	assert_in_range(w.calls[1], 1, took / (40 * MS));
	assert_int_equal(w.calls[2], 0);
}

static uint64_t fired_at[4];

static int oversleep(void *arg)
{
	(void)arg;
	if (w.calls[0] < 4)
		fired_at[w.calls[0]] = ps_clock_boot();
	if (++w.calls[0] == 1)
		(void)usleep(100000);
	return 0;
}

static void a_late_timer_fires_once(void **state)
{
	(void)state;
	assert_int_equal(ps_loop_add_timer(w.loop, 10 * MS, oversleep, NULL, NULL), 0);
	(void)run_until(&w.calls[0], 3);
	/* The second makes up for all that were slept through; the third waits its time. */
	assert_true(fired_at[1] - fired_at[0] >= 100 * MS);
	assert_true(fired_at[2] - fired_at[1] >= 9 * MS);
}

static int stop_itself(void *arg)
{
	(void)arg;
	if (++w.calls[0] == 3)
		ps_loop_set_timer(w.loop, w.timer, 0);
	return 0;
}

static int wake_the_other(void *arg)
{
	(void)arg;
	w.calls[1]++;
	ps_loop_set_timer(w.loop, w.timer, 5 * MS);
	return 0;
}

/* Never two in one interval, and the first not before the next multiple. */
static int on_beat(void *arg)
{
	uint64_t *last = arg;
	uint64_t now = ps_clock_boot();
	assert_true(now / (20 * MS) > *last);
	*last = now / (20 * MS);
	w.calls[0]++;
	return 0;
}

static void beats_are_at_multiples(void **state)
{
	(void)state;
	uint64_t last = ps_clock_boot() / (20 * MS);
	assert_int_equal(ps_loop_add_beat(w.loop, 20 * MS, 0, on_beat, &last), 0);
	assert_int_equal(ps_loop_add_beat(w.loop, 0, 0, on_beat, &last), -EINVAL);
	(void)run_until(&w.calls[0], 10);
}

static void a_beat_with_slack_waits_for_company(void **state)
{
	(void)state;
	uint64_t before = ps_clock_boot();
	assert_int_equal(ps_loop_add_beat(w.loop, 10 * MS, 300 * MS, stop, NULL), 0);
	assert_int_equal(ps_loop_run(w.loop), 0);
	assert_true(ps_clock_boot() - before >= 300 * MS); /* nobody came */
	assert_int_equal(ps_loop_add_beat(w.loop, 10 * MS, 20000 * MS, count, &w.calls[0]), 0);
	assert_true(run_until(&w.calls[0], 5) < 10000 * MS);
}

static void timers_change_while_running(void **state)
{
	(void)state;
	assert_int_equal(ps_loop_add_timer(w.loop, 2 * MS, stop_itself, NULL, &w.timer), 0);
	(void)run_until(&w.calls[0], 3);
	run_for(30 * MS);
	assert_int_equal(w.calls[0], 3);
	assert_int_equal(ps_loop_add_timer(w.loop, 20 * MS, wake_the_other, NULL, NULL), 0);
	(void)run_until(&w.calls[0], 4);
	assert_true(w.calls[1] >= 1);
}

static int stamp(void *arg)
{
	(void)arg;
	fired_at[0] = ps_clock_boot();
	return count(&w.calls[0]);
}

static void a_timer_that_is_set_starts_anew(void **state)
{
	(void)state;
	assert_int_equal(ps_loop_add_timer(w.loop, 30 * MS, stamp, NULL, &w.timer), 0);
	(void)usleep(20000);
	uint64_t set = ps_clock_boot();
	ps_loop_set_timer(w.loop, w.timer, 50 * MS);
	(void)run_until(&w.calls[0], 1);
	assert_true(fired_at[0] - set >= 50 * MS);
}

static int add_many(void *arg)
{
	(void)arg;
	for (int i = 0; i < 50; i++)
		assert_int_equal(ps_loop_add_timer(w.loop, 10 * MS, count, &w.calls[0], NULL), 0);
	ps_loop_set_timer(w.loop, w.timer, 0);
	return 0;
}

static void a_handler_may_add_timers(void **state)
{
	(void)state;
	assert_int_equal(ps_loop_add_timer(w.loop, MS, add_many, NULL, &w.timer), 0);
	(void)run_until(&w.calls[0], 100);
}

/* --- descriptors --------------------------------------------------------------------------------- */

static int read_one(void *arg)
{
	char c;
	(void)arg;
	assert_int_equal(read(w.pipe[0], &c, 1), 1);
	w.calls[0]++;
	return c == 'q' ? 42 : 0;
}

static void a_handler_is_called_while_there_is_something(void **state)
{
	(void)state;
	assert_int_equal(ps_loop_add_fd(w.loop, w.pipe[0], read_one, NULL), 0);
	assert_int_equal(write(w.pipe[1], "aaaaq", 5), 5);
	assert_int_equal(ps_loop_run(w.loop), 42); /* its value ends the loop */
	assert_int_equal(w.calls[0], 5);
	/* And it can go on. */
	assert_int_equal(write(w.pipe[1], "aq", 2), 2);
	assert_int_equal(ps_loop_run(w.loop), 42);
	assert_int_equal(w.calls[0], 7);
}

static int busy(void *arg)
{
	(void)arg;
	w.calls[0]++;
	return 0;
}

static void a_busy_descriptor_starves_nobody(void **state)
{
	(void)state;
	assert_int_equal(ps_loop_add_fd(w.loop, w.pipe[0], busy, NULL), 0); /* never read: always ready */
	assert_int_equal(ps_loop_add_fd(w.loop, w.other[0], count, &w.calls[1]), 0);
	assert_int_equal(ps_loop_add_timer(w.loop, 10 * MS, count, &w.calls[2], NULL), 0);
	assert_int_equal(write(w.pipe[1], "x", 1), 1);
	assert_int_equal(write(w.other[1], "x", 1), 1);
	(void)run_until(&w.calls[2], 5);
	assert_true(w.calls[0] > 0);
	assert_in_range(w.calls[1] + 1, w.calls[0], w.calls[0] + 2);
}

static int remove_both(void *arg)
{
	(void)arg;
	w.calls[0]++;
	ps_loop_remove_fd(w.loop, w.pipe[0]);
	ps_loop_remove_fd(w.loop, w.other[0]);
	return 0;
}

static void a_removed_descriptor_is_not_called_even_if_it_was_ready(void **state)
{
	(void)state;
	assert_int_equal(write(w.pipe[1], "x", 1), 1);
	assert_int_equal(write(w.other[1], "x", 1), 1);
	assert_int_equal(ps_loop_add_fd(w.loop, w.pipe[0], remove_both, NULL), 0);
	assert_int_equal(ps_loop_add_fd(w.loop, w.other[0], remove_both, NULL), 0);
	(void)run_until(&w.calls[0], 1);
	run_for(5 * MS);
	assert_int_equal(w.calls[0], 1);
	ps_loop_remove_fd(w.loop, 12345); /* unknown: nothing */
}

/* Closes the second pipe, which is ready too, and has its number used again by one that is not. */
static int reuse_number(void *arg)
{
	int fresh[2];
	(void)arg;
	w.calls[2]++;
	char c;
	assert_int_equal(read(w.pipe[0], &c, 1), 1);
	ps_loop_remove_fd(w.loop, w.other[0]);
	int number = w.other[0];
	(void)close(w.other[0]);
	(void)close(w.other[1]);
	assert_int_equal(pipe2(fresh, O_CLOEXEC), 0);
	assert_true(fresh[0] == number || dup2(fresh[0], number) == number);
	w.other[0] = number;
	w.other[1] = fresh[1];
	assert_int_equal(ps_loop_add_fd(w.loop, number, count, &w.calls[1]), 0);
	return 0;
}

static void a_number_used_again_sees_no_old_events(void **state)
{
	(void)state;
	assert_int_equal(write(w.pipe[1], "x", 1), 1);
	assert_int_equal(write(w.other[1], "x", 1), 1);
	assert_int_equal(ps_loop_add_fd(w.loop, w.pipe[0], reuse_number, NULL), 0);
	assert_int_equal(ps_loop_add_fd(w.loop, w.other[0], count, &w.calls[0]), 0);
	(void)run_until(&w.calls[2], 1);
	run_for(5 * MS);
	assert_int_equal(w.calls[0], 0);
	assert_int_equal(w.calls[1], 0);
	assert_int_equal(write(w.other[1], "y", 1), 1);
	(void)run_until(&w.calls[1], 1);
}

static int switch_to_reading(void *arg)
{
	(void)arg;
	w.calls[0]++;
	return ps_loop_add_fd_events(w.loop, w.other[1], POLLIN, count, &w.calls[1]);
}

static void events_can_be_chosen_and_replaced(void **state)
{
	(void)state;
	/* The writing end of a pipe with room is ready for writing, never for reading. */
	assert_int_equal(ps_loop_add_fd_events(w.loop, w.other[1], POLLOUT, switch_to_reading, NULL), 0);
	(void)run_until(&w.calls[0], 1);
	run_for(5 * MS);
	assert_int_equal(w.calls[0], 1);
	assert_int_equal(w.calls[1], 0);
	/* The other end goes: that is told to whoever listens, whatever for. */
	ps_closep(&w.other[0]);
	(void)run_until(&w.calls[1], 1);
	assert_int_equal(ps_loop_add_fd(w.loop, -1, count, NULL), -EINVAL);
	assert_int_equal(ps_loop_add_fd(w.loop, 0, NULL, NULL), -EINVAL);
}

static int add_descriptors(void *arg)
{
	(void)arg;
	ps_loop_remove_fd(w.loop, w.pipe[0]);
	for (int i = 0; i < 40; i++)
		assert_int_equal(ps_loop_add_fd(w.loop, 900 + i, count, NULL), 0);
	for (int i = 0; i < 40; i++)
		ps_loop_remove_fd(w.loop, 900 + i);
	return ps_loop_add_fd(w.loop, w.other[0], count, &w.calls[1]);
}

static void a_handler_may_add_descriptors(void **state)
{
	(void)state;
	assert_int_equal(write(w.pipe[1], "x", 1), 1);
	assert_int_equal(write(w.other[1], "x", 1), 1);
	assert_int_equal(ps_loop_add_fd(w.loop, w.pipe[0], add_descriptors, NULL), 0);
	(void)run_until(&w.calls[1], 1);
}

static void a_stop_before_the_run_counts(void **state)
{
	(void)state;
	ps_loop_stop(w.loop);
	assert_int_equal(ps_loop_run(w.loop), 0);
	run_for(MS); /* and only once */
}

/* --- the bus ------------------------------------------------------------------------------------- */

static int take_one(void *arg)
{
	_cleanup_(ps_message_free) struct ps_message msg = {0};
	(void)arg;
	assert_int_equal(ps_subscriber_next(w.sub, &msg), 1); /* called only when there is one */
	w.calls[0]++;
	if (ps_value_get_uint(msg.header, "seq", 0) >= 1000)
		ps_loop_stop(w.loop);
	return 0;
}

static int publish_some(void *arg)
{
	_cleanup_(ps_value_free) struct ps_value *map = ps_value_map();
	(void)arg;
	for (int i = 0; i < 100; i++)
		assert_int_equal(ps_publisher_map(w.pub, PS_TOPIC_STATS, map), 0);
	return 0;
}

static void messages_are_drained(void **state)
{
	(void)state;
	_cleanup_(ps_bus_free) struct ps_bus *bus = NULL;
	const char *at = tempdir_path("ipc://", "loop.sock");
	assert_int_equal(ps_bus_new(&bus), 0);
	assert_int_equal(ps_publisher_new(bus, at, true, &w.pub, NULL), 0);
	assert_int_equal(ps_subscriber_new(bus, at, 1u << PS_TOPIC_STATS, &w.sub, NULL), 0);
	assert_int_equal(ps_loop_add_subscriber(w.loop, w.sub, take_one, NULL), 0);
	assert_int_equal(ps_loop_add_timer(w.loop, 5 * MS, publish_some, NULL, NULL), 0);
	assert_int_equal(ps_loop_add_timer(w.loop, 10000 * MS, fail_late, NULL, NULL), 0);
	assert_int_equal(ps_loop_run(w.loop), 0);
	assert_true(w.calls[0] >= 100);
	ps_subscriber_free(&w.sub);
	ps_publisher_free(&w.pub);
}

static int answer(void *arg)
{
	_cleanup_(ps_request_free) struct ps_request req = {0};
	(void)arg;
	assert_int_equal(ps_responder_next(w.resp, &req), 1);
	w.calls[0]++;
	return ps_responder_reply(w.resp, &req, 200, req.args, NULL, 0, NULL);
}

static int take_answer(void *arg)
{
	_cleanup_(ps_reply_free) struct ps_reply reply = {0};
	(void)arg;
	assert_int_equal(ps_requester_next(w.rq, &reply), 1);
	if (++w.calls[1] == 300)
		ps_loop_stop(w.loop);
	return 0;
}

static int ask(void *arg)
{
	(void)arg;
	for (int i = 0; i < 50; i++)
		w.calls[2] += ps_requester_send(w.rq, "status", "local", NULL, 0, NULL) == 0;
	return 0;
}

static void requests_and_replies(void **state)
{
	(void)state;
	_cleanup_(ps_bus_free) struct ps_bus *bus = NULL;
	const char *at = tempdir_path("ipc://", "control.sock");
	assert_int_equal(ps_bus_new(&bus), 0);
	assert_int_equal(ps_responder_new(bus, at, &w.resp, NULL), 0);
	assert_int_equal(ps_requester_new(bus, at, &w.rq, NULL), 0);
	assert_int_equal(ps_loop_add_responder(w.loop, w.resp, answer, NULL), 0);
	assert_int_equal(ps_loop_add_requester(w.loop, w.rq, take_answer, NULL), 0);
	assert_int_equal(ps_loop_add_timer(w.loop, 2 * MS, ask, NULL, NULL), 0);
	assert_int_equal(ps_loop_add_timer(w.loop, 10000 * MS, fail_late, NULL, NULL), 0);
	assert_int_equal(ps_loop_run(w.loop), 0);
	assert_true(w.calls[0] >= 300 && w.calls[2] >= 300);
	ps_requester_free(&w.rq);
	ps_responder_free(&w.resp);
}

/* --- signals ------------------------------------------------------------------------------------- */

static int raise_one(void *arg)
{
	w.calls[3]++;
	return kill(getpid(), *(int *)arg);
}

static int on_hup(void *arg)
{
	w.calls[0]++;
	return *(int *)arg;
}

static void signals_end_the_loop(void **state)
{
	(void)state;
	static int signals[] = {SIGTERM, SIGINT, SIGHUP}; /* without a handler of its own, SIGHUP is one of them */
	assert_int_equal(ps_loop_handle_signals(w.loop, NULL, NULL), 0);
	assert_int_equal(ps_loop_add_timer(w.loop, 10000 * MS, fail_late, NULL, NULL), 0);
	for (size_t i = 0; i < PS_ARRAY_SIZE(signals); i++) {
		int timer = -1;
		assert_int_equal(ps_loop_add_timer(w.loop, MS, raise_one, &signals[i], &timer), 0);
		assert_int_equal(ps_loop_run(w.loop), 0);
		ps_loop_set_timer(w.loop, timer, 0);
		assert_int_equal(w.calls[3], i + 1);
	}
	assert_int_equal(write(w.other[1], "x", 1), 1);
	ps_closep(&w.other[0]);
	assert_int_equal(write(w.other[1], "x", 1), -1); /* SIGPIPE does not kill */
	assert_int_equal(errno, EPIPE);
}

static void hup_is_handed_on(void **state)
{
	(void)state;
	static int hup = SIGHUP, value = 0;
	assert_int_equal(ps_loop_handle_signals(w.loop, on_hup, &value), 0);
	assert_int_equal(ps_loop_add_timer(w.loop, 10 * MS, raise_one, &hup, &w.timer), 0);
	(void)run_until(&w.calls[0], 2);
	value = 7;
	assert_int_equal(ps_loop_run(w.loop), 7);
}

#define loop_test(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		loop_test(timers_repeat),
		loop_test(a_late_timer_fires_once),
		loop_test(beats_are_at_multiples),
		loop_test(a_beat_with_slack_waits_for_company),
		loop_test(timers_change_while_running),
		loop_test(a_timer_that_is_set_starts_anew),
		loop_test(a_handler_may_add_timers),
		loop_test(a_handler_is_called_while_there_is_something),
		loop_test(a_busy_descriptor_starves_nobody),
		loop_test(a_removed_descriptor_is_not_called_even_if_it_was_ready),
		loop_test(a_number_used_again_sees_no_old_events),
		loop_test(events_can_be_chosen_and_replaced),
		loop_test(a_handler_may_add_descriptors),
		loop_test(a_stop_before_the_run_counts),
		loop_test(messages_are_drained),
		loop_test(requests_and_replies),
		loop_test(signals_end_the_loop),
		loop_test(hup_is_handed_on),
	};
	return cmocka_run_group_tests(tests, tempdir_make, tempdir_remove);
}
