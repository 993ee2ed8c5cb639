/* Requests to the other parts: replies, refusals, silence, the end. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "gateway/forward.h"
#include "tempdir.h"

struct fixture {
	struct ps_bus *bus;
	struct ps_loop *loop;
	struct ps_forward *forward;
	struct ps_responder *control;
	struct ps_request held[4]; /* taken and not answered yet */
	size_t n_held;
	bool hold;
};

/* What came back for one request. */
struct outcome {
	struct fixture *f;
	int calls;
	int status;
	char code[32];
	int64_t echo;
};

static void answer(struct fixture *f, const struct ps_request *req)
{
	struct ps_error err = {0};

	if (!strcmp(req->op, "refuse"))
		(void)ps_error_set(&err, 0, 404, "not_found", "id", "No.");
	assert_int_equal(ps_responder_reply(f->control, req, err.status ? err.status : 200, req->args, NULL, 0,
				 err.status ? &err : NULL),
		0);
}

static int on_request(void *arg)
{
	struct fixture *f = arg;
	struct ps_request req = {0};

	if (ps_responder_next(f->control, &req) != 1)
		return 0;
	if (f->hold && f->n_held < PS_ARRAY_SIZE(f->held)) {
		f->held[f->n_held++] = req;
		return 0;
	}
	answer(f, &req);
	ps_request_free(&req);
	return 0;
}

static void on_reply(void *arg, struct ps_reply *reply, const struct ps_error *err)
{
	struct outcome *o = arg;

	assert_true(reply || err);
	o->calls++;
	o->status = err ? err->status : reply->status;
	if (err)
		(void)snprintf(o->code, sizeof(o->code), "%s", err->code);
	if (reply) /* of a refusal too */
		o->echo = ps_value_get_int(reply->body, "n", -1);
	ps_loop_stop(o->f->loop);
}

static int on_pause(void *arg)
{
	ps_loop_stop(arg);
	return 0;
}

static void let_run(struct fixture *f, uint64_t ns)
{
	int timer;

	assert_int_equal(ps_loop_add_timer(f->loop, ns, on_pause, f->loop, &timer), 0);
	assert_int_equal(ps_loop_run(f->loop), 0);
	ps_loop_set_timer(f->loop, timer, 0);
}

static int send_number(
	struct fixture *f, const char *op, int64_t n, int timeout_ms, struct outcome *o, struct ps_error *err)
{
	_cleanup_(ps_value_free) struct ps_value *args = ps_value_map();

	*o = (struct outcome){.f = f};
	assert_int_equal(ps_value_set(args, "n", ps_value_int(n)), 0);
	return ps_forward_send(f->forward, PS_PART_AGGREGATOR, op, "test", args, timeout_ms, on_reply, o, err);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct ps_endpoints ep = {0};

	if (!f)
		return -1;
	(void)snprintf(ep.control, sizeof(ep.control), "%s", tempdir_path("ipc://", "control.sock"));
	(void)snprintf(ep.ai, sizeof(ep.ai), "%s", tempdir_path("ipc://", "ai.sock"));
	assert_int_equal(ps_bus_new(&f->bus), 0);
	assert_int_equal(ps_loop_new(&f->loop), 0);
	assert_int_equal(ps_responder_new(f->bus, ep.control, &f->control, NULL), 0);
	assert_int_equal(ps_loop_add_responder(f->loop, f->control, on_request, f), 0);
	assert_int_equal(ps_forward_new(f->bus, f->loop, &ep, &f->forward, NULL), 0);
	let_run(f, PS_NSEC / 20); /* the bus connects */
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < f->n_held; i++)
		ps_request_free(&f->held[i]);
	ps_forward_free(&f->forward);
	ps_responder_free(&f->control);
	ps_loop_free(&f->loop);
	ps_bus_free(&f->bus);
	free(f);
	return 0;
}

static void replies_and_refusals(void **state)
{
	struct fixture *f = *state;
	struct outcome o;

	assert_int_equal(send_number(f, "echo", 42, 1000, &o, NULL), 0);
	assert_int_equal(o.calls, 0); /* never from within the call */
	let_run(f, PS_NSEC);
	assert_int_equal(o.calls, 1);
	assert_int_equal(o.status, 200);
	assert_int_equal(o.echo, 42);
	assert_int_equal(send_number(f, "refuse", 1, 1000, &o, NULL), 0);
	let_run(f, PS_NSEC);
	assert_int_equal(o.status, 404);
	assert_string_equal(o.code, "not_found");
}

static void a_part_that_is_not_there(void **state)
{
	struct fixture *f = *state;
	struct outcome o = {.f = f};
	struct ps_error err = {0};

	assert_int_equal(
		ps_forward_send(f->forward, PS_PART_AI, "status", "test", NULL, 1000, on_reply, &o, &err), -EAGAIN);
	assert_int_equal(err.status, 503);
	assert_string_equal(err.code, "part_down");
	assert_non_null(strstr(err.message, "ai-worker"));
	let_run(f, PS_NSEC / 20);
	assert_int_equal(o.calls, 0);
}

/* Replies find their request whatever their order; one that is late finds nobody, and nobody is called twice. */
static void out_of_order_and_late(void **state)
{
	struct fixture *f = *state;
	struct outcome first, second;

	f->hold = true;
	assert_int_equal(send_number(f, "echo", 1, 100, &first, NULL), 0);
	assert_int_equal(send_number(f, "echo", 2, 5000, &second, NULL), 0);
	let_run(f, PS_NSEC);
	assert_int_equal(first.calls, 1);
	assert_int_equal(first.status, 503);
	assert_string_equal(first.code, "part_down");
	assert_int_equal(second.calls, 0);
	assert_int_equal(f->n_held, 2);
	answer(f, &f->held[1]);
	answer(f, &f->held[0]);
	let_run(f, PS_NSEC);
	let_run(f, PS_NSEC / 20);
	assert_int_equal(first.calls, 1);
	assert_int_equal(second.calls, 1);
	assert_int_equal(second.echo, 2);
}

/* Answered with 503 is answered: a part that comes to it later leaves it alone. */
static void what_was_given_up_takes_no_effect(void **state)
{
	struct fixture *f = *state;
	struct outcome o;

	f->hold = true;
	assert_int_equal(send_number(f, "rules.create", 1, 20, &o, NULL), 0);
	(void)usleep(60000); /* the part sleeps */
	let_run(f, 2 * PS_NSEC);
	assert_int_equal(o.calls, 1);
	assert_int_equal(o.status, 503);
	assert_int_equal(f->n_held, 0);
	assert_int_equal(ps_responder_late(f->control), 1);
}

static void the_end_answers_all(void **state)
{
	struct fixture *f = *state;
	struct outcome first, second;

	f->hold = true;
	assert_int_equal(send_number(f, "echo", 1, 5000, &first, NULL), 0);
	assert_int_equal(send_number(f, "echo", 2, 5000, &second, NULL), 0);
	ps_forward_free(&f->forward);
	assert_int_equal(first.calls, 1);
	assert_int_equal(second.calls, 1);
	assert_string_equal(second.code, "stopping");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(replies_and_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(a_part_that_is_not_there, setup, teardown),
		cmocka_unit_test_setup_teardown(out_of_order_and_late, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_given_up_takes_no_effect, setup, teardown),
		cmocka_unit_test_setup_teardown(the_end_answers_all, setup, teardown),
	};

	return cmocka_run_group_tests(tests, tempdir_make, tempdir_remove);
}
