/* Same questions at the same time: who gets whose answer, how often is asked, and who may leave when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/cleanup.h"
#include "gateway/exchange.h"
#include "gateway/limits.h"
#include "gateway/route.h"
#include "gateway/share.h"

#define N 6
#define NOW 1000000000ull
#define MS 1000000ull

static struct ps_gateway gateway;
static struct ps_exchange x[N];
static struct ps_exchange *asked[16 * N]; /* whose handler was called, in turn */
static unsigned n_asked, n_done;

static void handler(struct ps_exchange *e)
{
	asked[n_asked++] = e;
}

static void done(struct ps_exchange *e)
{
	(void)e;
	n_done++;
}

static const struct ps_route route = {.method = PS_HTTP_GET, .handler = handler, .part = PS_PART_AGGREGATOR};
static const struct ps_route other = {.method = PS_HTTP_GET, .handler = handler, .part = PS_PART_AGGREGATOR};
static const struct ps_route moving = {
	.method = PS_HTTP_GET, .handler = handler, .part = PS_PART_AGGREGATOR, .age_ms = PS_SHARE_AGE_MS};
static const struct ps_route own = {.method = PS_HTTP_GET, .handler = handler, .part = PS_PARTS};

static int setup(void **state)
{
	(void)state;
	gateway = (struct ps_gateway){.access = {.hostname = "", .allow_host = "", .cors_origin = ""}};
	memset(x, 0, sizeof(x));
	n_asked = n_done = 0;
	for (int i = 0; i < N; i++) {
		x[i].gateway = &gateway;
		x[i].route = &route;
		x[i].done = done;
		x[i].req.method = PS_HTTP_GET;
		x[i].args = ps_value_map();
		assert_non_null(x[i].args);
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (int i = 0; i < N; i++)
		ps_exchange_free(&x[i]);
	assert_null(gateway.shares);
	return 0;
}

static void answer(struct ps_exchange *e, const char *text)
{
	ps_buf_adds(&e->resp.body, text);
	ps_answer_json(e, 200);
}

static void has(const struct ps_exchange *e, const char *text)
{
	const struct ps_http_response *resp = e->resp.shared ? &e->resp.shared->answer : &e->resp;
	const struct ps_buf *body = &resp->body;

	assert_true(e->answered);
	assert_int_equal(resp->status, 200);
	assert_int_equal(body->len, strlen(text) + 1);
	assert_memory_equal(body->data, text, strlen(text));
	assert_string_equal(ps_http_response_get(resp, "Content-Type"), "application/json");
	assert_non_null(ps_http_response_get(resp, "Cache-Control"));
}

static void run_at(struct ps_exchange *e, uint64_t now)
{
	e->now = now;
	ps_share_run(e);
}

/* Who comes while it is asked does not get that answer, which may be older than the question. */
static void none_gets_an_answer_older_than_its_question(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++)
		run_at(&x[i], NOW);
	assert_int_equal(n_asked, 1);
	answer(&x[0], "first");
	assert_int_equal(n_done, 1);
	has(&x[0], "first");
	assert_int_equal(n_asked, 2);
	assert_ptr_equal(asked[1], &x[1]); /* who waited longest */
	run_at(&x[4], NOW);
	assert_int_equal(n_asked, 2);
	answer(&x[1], "second");
	assert_int_equal(n_done, 4);
	for (int i = 1; i < 4; i++)
		has(&x[i], "second");
	assert_ptr_equal(x[1].resp.shared, x[3].resp.shared);
	assert_false(x[4].answered);
	assert_int_equal(n_asked, 3);
	answer(&x[4], "third");
	has(&x[4], "third");
	assert_null(gateway.shares);
}

static void only_the_same_is_shared(void **state)
{
	(void)state;
	assert_int_equal(ps_value_set(x[1].args, "limit", ps_value_uint(5)), 0);
	x[2].req.headers.accept_encoding = "gzip";
	x[3].req.headers.origin = "http://a.example";
	x[4].route = &other;
	x[5].req.headers.accept = "text/csv";
	for (int i = 0; i < N; i++)
		run_at(&x[i], NOW);
	assert_int_equal(n_asked, N);
	for (int i = 0; i < N; i++)
		answer(&x[i], "own");
	assert_int_equal(n_done, N);
}

static void some_are_never_shared(void **state)
{
	(void)state;
	x[0].req.method = x[1].req.method = PS_HTTP_HEAD;
	x[2].route = x[3].route = &own;
	x[4].req.headers.if_none_match = x[5].req.headers.if_none_match = "\"1\"";
	for (int i = 0; i < N; i++)
		run_at(&x[i], NOW);
	assert_int_equal(n_asked, N);
	assert_null(gateway.shares);
}

static ssize_t read_nothing(void *arg, char *buf, size_t max)
{
	(void)arg;
	(void)buf;
	(void)max;
	return 0;
}

static void streams_are_not_shared(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		run_at(&x[i], NOW);
	answer(&x[0], "first");
	assert_ptr_equal(asked[1], &x[1]);
	x[1].resp.stream.read = read_nothing;
	ps_answer_stream(&x[1], "application/x-ndjson");
	assert_int_equal(n_asked, 3);
	assert_ptr_equal(asked[2], &x[2]);
	assert_false(x[2].answered);
	answer(&x[2], "own");
	has(&x[2], "own");
}

static void refusals_are_shared(void **state)
{
	struct ps_error err = {0};

	(void)state;
	for (int i = 0; i < 3; i++)
		run_at(&x[i], NOW);
	answer(&x[0], "first");
	(void)ps_error_set(&err, 0, 503, "part_down", "", "It does not answer.");
	ps_answer_problem(&x[1], &err);
	assert_int_equal(n_done, 3);
	assert_ptr_equal(x[1].resp.shared, x[2].resp.shared);
	assert_int_equal(x[2].resp.shared->answer.status, 503);
	assert_string_equal(ps_http_response_get(&x[2].resp.shared->answer, "Retry-After"), "1");
	assert_memory_equal(x[2].resp.shared->answer.body.data, "{", 1);
}

/* Waiting ones go; the one who asks goes without an answer. */
static void leaving(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++)
		run_at(&x[i], NOW);
	ps_exchange_free(&x[2]);
	answer(&x[0], "first");
	assert_ptr_equal(asked[1], &x[1]);
	ps_exchange_free(&x[3]);
	x[5].resp.status = 0;
	run_at(&x[5], NOW);
	answer(&x[1], "second");
	assert_int_equal(n_done, 3);
	has(&x[4], "second");
	assert_ptr_equal(asked[2], &x[5]);
	x[3] = x[2] = (struct ps_exchange){.gateway = &gateway, .route = &route, .done = done};
	x[2].req.method = x[3].req.method = PS_HTTP_GET;
	x[2].args = ps_value_map();
	x[3].args = ps_value_map();
	run_at(&x[2], NOW);
	ps_exchange_free(&x[5]);
	assert_ptr_equal(asked[3], &x[2]);
	run_at(&x[3], NOW);
	answer(&x[2], "third");
	answer(&x[3], "fourth");
	has(&x[3], "fourth");
	/* A body outlives those who had it first. */
	ps_exchange_free(&x[1]);
	has(&x[4], "second");
}

/* --- answers that are kept ------------------------------------------------------------------------ */

/* Those who ask what moves by itself: a crowd, and some more. */
#define CROWD (PS_SHARE_CROWD + 2)
static struct ps_exchange many[CROWD + 4];

static struct ps_exchange *comes(size_t i, uint64_t now)
{
	many[i] = (struct ps_exchange){.gateway = &gateway, .route = &moving, .done = done};
	many[i].req.method = PS_HTTP_GET;
	many[i].args = ps_value_map();
	assert_non_null(many[i].args);
	run_at(&many[i], now);
	return &many[i];
}

/* One is asked at NOW, n more wait for it. */
static void crowd_of(size_t n)
{
	for (size_t i = 0; i <= n; i++)
		(void)comes(i, NOW + i);
	assert_int_equal(n_asked, 1);
}

static int teardown_many(void **state)
{
	for (size_t i = 0; i < PS_ARRAY_SIZE(many); i++) {
		if (many[i].gateway)
			ps_exchange_free(&many[i]);
	}
	memset(many, 0, sizeof(many));
	ps_shares_free(&gateway);
	return teardown(state);
}

static void what_a_crowd_waits_for_is_kept(void **state)
{
	const uint64_t last = NOW + PS_SHARE_AGE_MS * MS - 1;

	(void)state;
	crowd_of(PS_SHARE_CROWD);
	answer(&many[0], "first");
	assert_int_equal(n_done, PS_SHARE_CROWD + 1);
	has(&many[PS_SHARE_CROWD], "first");
	assert_int_equal(n_asked, 1);
	has(comes(CROWD, last), "first");
	ps_exchange_free(&many[0]);
	has(comes(CROWD + 1, last), "first");
	assert_int_equal(n_asked, 1);
	/* Its age counts from the question, not from the answer. */
	assert_false(comes(CROWD + 2, last + 1)->answered);
	assert_int_equal(n_asked, 2);
	/* Nobody is given the old one while the new one is being asked for. */
	assert_false(comes(CROWD + 3, last + 1)->answered);
	answer(&many[CROWD + 2], "second");
	assert_int_equal(n_asked, 3);
	answer(&many[CROWD + 3], "third");
	assert_null(gateway.shares);
}

/* A script that asks, does something and asks again sees what it did. */
static void what_few_ask_is_not_kept(void **state)
{
	(void)state;
	crowd_of(PS_SHARE_CROWD - 1);
	answer(&many[0], "first");
	assert_int_equal(n_asked, 2);
	assert_false(many[1].answered);
	answer(&many[1], "second");
	has(&many[PS_SHARE_CROWD - 1], "second");
	assert_null(gateway.shares);
	assert_false(comes(CROWD, NOW + 1)->answered);
	assert_int_equal(n_asked, 3);
}

static void change(const char *text)
{
	struct ps_exchange c = {.gateway = &gateway, .route = &other, .done = done};

	c.req.method = PS_HTTP_POST;
	answer(&c, text);
	ps_exchange_free(&c);
}

static void a_change_is_seen_at_once(void **state)
{
	(void)state;
	crowd_of(PS_SHARE_CROWD);
	answer(&many[0], "before");
	has(comes(CROWD, NOW + MS), "before");
	change("201");
	assert_false(comes(CROWD + 1, NOW + 2 * MS)->answered);
	assert_int_equal(n_asked, 2);
	answer(&many[CROWD + 1], "after");
	has(&many[CROWD + 1], "after");
}

/* It was asked before the change, and is answered after it. */
static void what_crosses_a_change_is_not_kept(void **state)
{
	(void)state;
	crowd_of(PS_SHARE_CROWD + 1);
	change("201");
	answer(&many[0], "before");
	has(&many[0], "before");
	assert_false(many[1].answered);
	assert_int_equal(n_asked, 2);
	answer(&many[1], "after");
	has(&many[PS_SHARE_CROWD + 1], "after");
	has(comes(CROWD, NOW + MS), "after");
}

static void who_wants_none_that_is_kept_asks(void **state)
{
	(void)state;
	crowd_of(PS_SHARE_CROWD);
	answer(&many[0], "first");
	x[0].route = &moving;
	x[0].req.headers.cache_control = "no-cache";
	run_at(&x[0], NOW + MS);
	assert_false(x[0].answered);
	assert_ptr_equal(asked[1], &x[0]);
}

static void refusals_streams_and_long_answers_are_not_kept(void **state)
{
	_cleanup_free_ char *text = calloc(1, PS_SHARE_KEEP_MAX + 1);
	struct ps_error err = {0};

	(void)state;
	assert_non_null(text);
	memset(text, ' ', PS_SHARE_KEEP_MAX);
	crowd_of(PS_SHARE_CROWD);
	(void)ps_error_set(&err, 0, 503, "part_down", "", "It does not answer.");
	ps_answer_problem(&many[0], &err);
	assert_int_equal(n_asked, 2);
	(void)comes(CROWD, NOW);
	answer(&many[1], text);
	assert_int_equal(n_asked, 3);
	ps_answer_empty(&many[CROWD], 200);
	assert_null(gateway.shares);
}

int main(void)
{
#define KEPT(t) cmocka_unit_test_setup_teardown(t, setup, teardown_many)
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(none_gets_an_answer_older_than_its_question),
		TEST(only_the_same_is_shared),
		TEST(some_are_never_shared),
		TEST(streams_are_not_shared),
		TEST(refusals_are_shared),
		TEST(leaving),
		KEPT(what_a_crowd_waits_for_is_kept),
		KEPT(what_few_ask_is_not_kept),
		KEPT(a_change_is_seen_at_once),
		KEPT(what_crosses_a_change_is_not_kept),
		KEPT(who_wants_none_that_is_kept_asks),
		KEPT(refusals_streams_and_long_answers_are_not_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
