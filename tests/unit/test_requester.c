/*
 * Requester and responder, against each other and against raw sockets.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/bus/bus.h"
#include "common/codec/msgpack.h"
#include "tempdir.h"

#define PATIENCE_MS 5000

static struct ps_bus *bus;

static int setup(void **state)
{
	return tempdir_make(state) < 0 || ps_bus_new(&bus) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	ps_bus_free(&bus);
	return tempdir_remove(state);
}

static struct ps_responder *responder(const char *endpoint)
{
	struct ps_responder *resp = NULL;
	struct ps_error e = {0};
	if (ps_responder_new(bus, endpoint, &resp, &e) < 0)
		fail_msg("%s", e.message);
	return resp;
}

static struct ps_requester *requester(const char *endpoint)
{
	struct ps_requester *rq = NULL;
	struct ps_error e = {0};
	if (ps_requester_new(bus, endpoint, &rq, &e) < 0)
		fail_msg("%s", e.message);
	return rq;
}

/* Sends as soon as the connection stands. */
static uint64_t ask(struct ps_requester *rq, const char *op, const char *peer, const struct ps_value *args)
{
	uint64_t id = 0;
	int r = -EAGAIN;
	for (int i = 0; r == -EAGAIN && i < PATIENCE_MS; i++) {
		r = ps_requester_send(rq, op, peer, args, 0, &id);
		if (r == -EAGAIN)
			(void)usleep(1000);
	}
	assert_int_equal(r, 0);
	return id;
}

#define WAIT(take, object, to) \
	({ \
		int wait_r = 0; \
		for (int wait_i = 0; wait_r == 0 && wait_i < PATIENCE_MS; wait_i++) { \
			wait_r = take(object, to); \
			if (wait_r == 0) \
				(void)usleep(1000); \
		} \
		wait_r; \
	})

static void there_and_back(void **state)
{
	(void)state;
	const char *at = tempdir_path("ipc://", "there.sock");
	_cleanup_(ps_responder_free) struct ps_responder *resp = responder(at);
	_cleanup_(ps_requester_free) struct ps_requester *rq = requester(at);
	_cleanup_(ps_value_free) struct ps_value *args = ps_value_map(), *body = ps_value_map();
	assert_int_equal(ps_value_set(args, "limit", ps_value_int(100)), 0);
	assert_int_equal(ps_value_set(body, "total", ps_value_uint(UINT64_MAX)), 0);

	uint64_t id = ask(rq, "conns.list", "198.51.100.7", args);
	_cleanup_(ps_request_free) struct ps_request req = {0};
	assert_int_equal(WAIT(ps_responder_next, resp, &req), 1);
	assert_int_equal(req.id, id);
	assert_string_equal(req.op, "conns.list");
	assert_string_equal(req.peer, "198.51.100.7");
	assert_true(ps_value_equal(req.args, args));
	assert_int_equal(ps_responder_next(resp, &req), 0);

	static const uint8_t payload[] = {0x91, 0x91, 0x01};
	assert_int_equal(ps_responder_reply(resp, &req, 200, body, payload, sizeof(payload), NULL), 0);
	_cleanup_(ps_reply_free) struct ps_reply reply = {0};
	assert_int_equal(WAIT(ps_requester_next, rq, &reply), 1);
	assert_int_equal(reply.id, id);
	assert_int_equal(reply.status, 200);
	assert_true(ps_value_equal(reply.body, body));
	assert_int_equal(reply.payload_len, sizeof(payload));
	assert_memory_equal(reply.payload, payload, sizeof(payload));
}

static void replies_of_every_shape(void **state)
{
	(void)state;
	const char *at = tempdir_path("ipc://", "shapes.sock");
	_cleanup_(ps_responder_free) struct ps_responder *resp = responder(at);
	_cleanup_(ps_requester_free) struct ps_requester *rq = requester(at);
	_cleanup_(ps_value_free) struct ps_value *body = ps_value_map();
	struct ps_error e;
	(void)ps_error_set(&e, 0, 404, "not_found", "id", "There is no rule 7");

	struct ps_request req = {0};
	struct ps_reply reply = {0};
	(void)ask(rq, "rules.delete", NULL, NULL);
	assert_int_equal(WAIT(ps_responder_next, resp, &req), 1);
	assert_string_equal(req.peer, "");
	assert_int_equal(ps_value_kind(req.args), PS_VALUE_MAP);
	assert_int_equal(ps_value_count(req.args), 0);

	assert_int_equal(ps_responder_reply(resp, &req, 204, NULL, NULL, 0, NULL), 0);
	assert_int_equal(WAIT(ps_requester_next, rq, &reply), 1);
	assert_int_equal(reply.status, 204);
	assert_null(reply.body);
	assert_null(reply.payload);
	ps_reply_free(&reply);

	assert_int_equal(ps_responder_reply(resp, &req, 404, body, (const uint8_t *)"x", 1, &e), 0);
	assert_int_equal(WAIT(ps_requester_next, rq, &reply), 1);
	assert_int_equal(reply.status, 404);
	assert_int_equal(reply.error.status, 404);
	assert_string_equal(reply.error.code, "not_found");
	assert_string_equal(reply.error.field, "id");
	assert_string_equal(reply.error.message, "There is no rule 7");
	assert_true(ps_value_equal(reply.body, body)); /* details of the refusal; no payload */
	assert_null(reply.payload);
	ps_reply_free(&reply);

	assert_int_equal(ps_responder_reply(resp, &req, 200, body, (const uint8_t *)"", 0, NULL), 0);
	assert_int_equal(WAIT(ps_requester_next, rq, &reply), 1);
	assert_non_null(reply.payload);
	assert_int_equal(reply.payload_len, 0);
	ps_reply_free(&reply);

	/* Too large is told, not swallowed. */
	_cleanup_free_ uint8_t *big = calloc(1, PS_BUS_MESSAGE_MAX + 1);
	assert_int_equal(ps_responder_reply(resp, &req, 200, body, big, PS_BUS_MESSAGE_MAX + 1, NULL), -E2BIG);
	assert_int_equal(WAIT(ps_requester_next, rq, &reply), 1);
	assert_int_equal(reply.status, 500);
	assert_string_equal(reply.error.code, "too_large");
	ps_reply_free(&reply);

	assert_int_equal(ps_responder_reply(resp, &req, 200, body, big, PS_BUS_MESSAGE_MAX, NULL), 0);
	assert_int_equal(WAIT(ps_requester_next, rq, &reply), 1);
	assert_int_equal(reply.payload_len, PS_BUS_MESSAGE_MAX);
	ps_reply_free(&reply);
	ps_request_free(&req);
}

/* A part in a thread of its own: answers everything but "stuck", and "late" after the caller's patience. */
struct part {
	pthread_t thread;
	const char *endpoint;
	pthread_barrier_t bound, answered; /* the socket is there; the last reply has been read */
};

static void *part_main(void *arg)
{
	struct part *p = arg;
	struct ps_responder *resp = NULL;
	int r = ps_responder_new(bus, p->endpoint, &resp, NULL);
	(void)pthread_barrier_wait(&p->bound);
	for (bool quit = r < 0; !quit;) {
		struct ps_request req = {0};
		if (WAIT(ps_responder_next, resp, &req) != 1)
			break;
		if (strcmp(req.op, "late") == 0)
			(void)usleep(150000);
		quit = strcmp(req.op, "quit") == 0;
		if (strcmp(req.op, "stuck") != 0)
			(void)ps_responder_reply(resp, &req, 200, req.args, NULL, 0, NULL);
		ps_request_free(&req);
	}
	(void)pthread_barrier_wait(&p->answered);
	ps_responder_free(&resp);
	return NULL;
}

static void part_start(struct part *p, const char *endpoint)
{
	p->endpoint = endpoint;
	(void)pthread_barrier_init(&p->bound, NULL, 2);
	(void)pthread_barrier_init(&p->answered, NULL, 2);
	assert_int_equal(pthread_create(&p->thread, NULL, part_main, p), 0);
	(void)pthread_barrier_wait(&p->bound);
}

static void part_join(struct part *p)
{
	(void)pthread_barrier_wait(&p->answered);
	(void)pthread_join(p->thread, NULL);
	(void)pthread_barrier_destroy(&p->bound);
	(void)pthread_barrier_destroy(&p->answered);
}

static void calls(void **state)
{
	(void)state;
	const char *at = tempdir_path("ipc://", "calls.sock");
	struct part part;
	part_start(&part, at);
	_cleanup_(ps_requester_free) struct ps_requester *rq = requester(at);
	_cleanup_(ps_value_free) struct ps_value *args = ps_value_map();
	struct ps_reply reply = {0};
	struct ps_error e = {0};

	/* The first one has no connection yet, and waits for it. */
	for (int i = 0; i < 100; i++) {
		assert_int_equal(ps_value_set(args, "i", ps_value_int(i)), 0);
		assert_int_equal(ps_requester_call(rq, "echo", "local", args, PATIENCE_MS, &reply, &e), 0);
		assert_true(ps_value_equal(reply.body, args));
		ps_reply_free(&reply);
	}

	uint64_t before = ps_clock_boot();
	reply.id = 4711;
	assert_int_equal(ps_requester_call(rq, "stuck", "local", args, 100, &reply, &e), -ETIMEDOUT);
	uint64_t took = ps_clock_boot() - before;
	assert_true(took >= 100000000 && took < 2 * PS_NSEC);
	assert_int_equal(e.status, 503);
	assert_string_equal(e.code, "no_answer");
	assert_int_equal(reply.id, 4711);

	/* A reply that comes too late is not taken for the next one's. */
	assert_int_equal(ps_requester_call(rq, "late", "local", NULL, 50, &reply, &e), -ETIMEDOUT);
	assert_int_equal(ps_requester_call(rq, "echo", "local", args, PATIENCE_MS, &reply, &e), 0);
	assert_true(ps_value_equal(reply.body, args));
	ps_reply_free(&reply);

	assert_int_equal(ps_requester_call(rq, "quit", "local", NULL, PATIENCE_MS, &reply, &e), 0);
	ps_reply_free(&reply);
	part_join(&part);

	/* Back again under the same path: the requester finds it by itself. What went to the old one is lost, and told.
	 */
	part_start(&part, at);
	int r = -ETIMEDOUT;
	for (int i = 0; i < 10 && r == -ETIMEDOUT; i++)
		r = ps_requester_call(rq, "quit", "local", NULL, 500, &reply, &e);
	assert_int_equal(r, 0);
	ps_reply_free(&reply);
	part_join(&part);
}

static void what_was_given_up_takes_no_effect_later(void **state)
{
	(void)state;
	const char *at = tempdir_path("ipc://", "down.sock");
	_cleanup_(ps_requester_free) struct ps_requester *rq = requester(at);
	struct ps_reply reply = {0};
	struct ps_error e = {0};
	uint64_t id = 4711;
	assert_int_equal(ps_requester_call(rq, "rules.create", "local", NULL, 50, &reply, &e), -ETIMEDOUT);
	assert_int_equal(e.status, 503);
	assert_int_equal(ps_requester_send(rq, "rules.create", "local", NULL, 0, &id), -EAGAIN);
	assert_int_equal(id, 4711);

	_cleanup_(ps_responder_free) struct ps_responder *resp = responder(at);
	(void)ask(rq, "status", "local", NULL);
	_cleanup_(ps_request_free) struct ps_request req = {0};
	assert_int_equal(WAIT(ps_responder_next, resp, &req), 1);
	assert_string_equal(req.op, "status");
}

static void a_part_that_reads_nothing_is_told_soon(void **state)
{
	(void)state;
	const char *at = tempdir_path("ipc://", "busy.sock");
	_cleanup_(ps_responder_free) struct ps_responder *resp = responder(at);
	_cleanup_(ps_requester_free) struct ps_requester *rq = requester(at);
	_cleanup_(ps_value_free) struct ps_value *args = ps_value_map();
	_cleanup_free_ char *text = malloc(10000);
	memset(text, 'x', 10000);
	assert_int_equal(ps_value_set(args, "text", ps_value_string_n(text, 10000)), 0);
	(void)ask(rq, "first", NULL, args);

	uint64_t sent = 1;
	int r;
	while ((r = ps_requester_send(rq, "more", NULL, args, 0, NULL)) == 0 && sent < 100000)
		sent++;
	assert_int_equal(r, -EAGAIN);
	assert_true(sent >= PS_REQUEST_WAITING_MAX);

	/* All that were taken arrive, whole and in order. */
	for (uint64_t i = 1; i <= sent; i++) {
		struct ps_request req = {0};
		assert_int_equal(WAIT(ps_responder_next, resp, &req), 1);
		assert_int_equal(req.id, i);
		assert_true(ps_value_equal(req.args, args));
		ps_request_free(&req);
	}
	assert_int_equal(ps_responder_malformed(resp), 0);
}

static void a_requester_that_has_gone_is_no_error(void **state)
{
	(void)state;
	const char *at = tempdir_path("ipc://", "gone.sock");
	_cleanup_(ps_responder_free) struct ps_responder *resp = responder(at);
	struct ps_requester *rq = requester(at);
	(void)ask(rq, "status", NULL, NULL);
	_cleanup_(ps_request_free) struct ps_request req = {0};
	assert_int_equal(WAIT(ps_responder_next, resp, &req), 1);
	ps_requester_free(&rq);
	for (int i = 0; i < 50; i++) {
		assert_int_equal(ps_responder_reply(resp, &req, 200, NULL, NULL, 0, NULL), 0);
		(void)usleep(1000);
	}
	/* And the next one is served. */
	rq = requester(at);
	uint64_t id = ask(rq, "status", NULL, NULL);
	ps_request_free(&req);
	assert_int_equal(WAIT(ps_responder_next, resp, &req), 1);
	assert_int_equal(ps_responder_reply(resp, &req, 200, NULL, NULL, 0, NULL), 0);
	struct ps_reply reply = {0};
	assert_int_equal(WAIT(ps_requester_next, rq, &reply), 1);
	assert_int_equal(reply.id, id);
	ps_reply_free(&reply);
	ps_requester_free(&rq);
}

/* --- from outside -------------------------------------------------------------------------------- */

struct bytes {
	const void *data;
	size_t len;
};

static void send_raw(void *socket, const struct bytes *parts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_int_equal(
			zmq_send(socket, parts[i].data, parts[i].len, i + 1 < n ? ZMQ_SNDMORE : 0), parts[i].len);
}

static void *raw_socket(void *context, int type)
{
	int linger = 0;
	void *s = zmq_socket(context, type);
	assert_non_null(s);
	(void)zmq_setsockopt(s, ZMQ_LINGER, &linger, sizeof(linger));
	return s;
}

/* Text of a msgpack map from key-value pairs of strings; a value that begins with '#' is a number. NULL ends. */
static struct bytes packed(struct ps_buf *b, const char *const *pairs)
{
	_cleanup_(ps_value_free) struct ps_value *map = ps_value_map();
	for (; pairs[0]; pairs += 2)
		assert_int_equal(
			ps_value_set(map, pairs[0],
				pairs[1][0] == '#' ? ps_value_int(atoll(pairs[1] + 1)) : ps_value_string(pairs[1])),
			0);
	ps_buf_reset(b);
	ps_msgpack_write(b, map);
	return (struct bytes){b->data, b->len};
}

/* The requester has given it up by then, so it must not take effect. */
static void a_request_past_its_deadline_is_dropped_and_counted(void **state)
{
	(void)state;
	const char *at = tempdir_path("ipc://", "late.sock");
	_cleanup_(ps_responder_free) struct ps_responder *resp = responder(at);
	void *context = zmq_ctx_new(), *raw = raw_socket(context, ZMQ_DEALER);
	assert_int_equal(zmq_connect(raw, at), 0);
	_cleanup_(ps_buf_free) struct ps_buf b = PS_BUF_INIT;
	struct ps_request req = {0};

	static const char *const late[] = {
		"v", "#1", "id", "#1", "op", "rules.create", "deadline", "#1000000000", NULL};
	const struct bytes past[] = {packed(&b, late), {"\x80", 1}};
	send_raw(raw, past, 2);
	assert_int_equal(WAIT(ps_responder_next, resp, &req), -ETIMEDOUT);
	assert_null(req.args);
	assert_int_equal(ps_responder_late(resp), 1);
	assert_int_equal(ps_responder_malformed(resp), 0);

	char when[24];
	(void)snprintf(when, sizeof(when), "#%lld", (long long)(ps_clock_wall() + 60 * PS_NSEC));
	const char *const early[] = {"v", "#1", "id", "#2", "op", "status", "deadline", when, NULL};
	const struct bytes future[] = {packed(&b, early), {"\x80", 1}};
	send_raw(raw, future, 2);
	assert_int_equal(WAIT(ps_responder_next, resp, &req), 1);
	assert_int_equal(req.id, 2);
	ps_request_free(&req);
	assert_int_equal(ps_responder_late(resp), 1);

	/* What a requester of ours writes: read while there is time, and dropped after it. */
	_cleanup_(ps_requester_free) struct ps_requester *rq = requester(at);
	(void)ask(rq, "first", NULL, NULL);
	assert_int_equal(WAIT(ps_responder_next, resp, &req), 1);
	ps_request_free(&req);
	assert_int_equal(ps_requester_send(rq, "rules.create", NULL, NULL, 20, NULL), 0);
	(void)usleep(60000);
	assert_int_equal(WAIT(ps_responder_next, resp, &req), -ETIMEDOUT);
	assert_int_equal(ps_requester_send(rq, "rules.create", NULL, NULL, PATIENCE_MS, NULL), 0);
	assert_int_equal(WAIT(ps_responder_next, resp, &req), 1);
	ps_request_free(&req);
	assert_int_equal(ps_responder_late(resp), 2);
	(void)zmq_close(raw);
	(void)zmq_ctx_term(context);
}

static void wrong_requests_are_refused_and_counted(void **state)
{
	(void)state;
	const char *at = tempdir_path("ipc://", "wrong.sock");
	_cleanup_(ps_responder_free) struct ps_responder *resp = responder(at);
	void *context = zmq_ctx_new(), *raw = raw_socket(context, ZMQ_DEALER);
	assert_int_equal(zmq_connect(raw, at), 0);
	_cleanup_(ps_buf_free) struct ps_buf b = PS_BUF_INIT;

	static const char *const headers[][9] = {
		{"id", "#1", "op", "status", NULL},
		{"v", "#2", "id", "#1", "op", "status", NULL},
		{"v", "one", "id", "#1", "op", "status", NULL},
		{"v", "#1", "op", "status", NULL},
		{"v", "#1", "id", "#-1", "op", "status", NULL},
		{"v", "#1", "id", "x", "op", "status", NULL},
		{"v", "#1", "id", "#1", NULL},
		{"v", "#1", "id", "#1", "op", "", NULL},
		{"v", "#1", "id", "#1", "op", "#5", NULL},
		{"v", "#1", "id", "#1", "op", "123456789012345678901234567890123456789012345678", NULL},
		{"v", "#1", "id", "#1", "op", "x", "peer", "#5", NULL},
		{"v", "#1", "id", "#1", "op", "x", "deadline", "soon", NULL},
		{"v", "#1", "id", "#1", "op", "x", "deadline", "#-1", NULL},
		{"v", "#1", "id", "#1", "op", "x", "peer",
			"1234567890123456789012345678901234567890123456789012345678901234", NULL},
	};
	struct ps_request req = {0};
	uint64_t refused = 0;
	for (size_t i = 0; i < PS_ARRAY_SIZE(headers); i++) {
		const struct bytes parts[] = {packed(&b, headers[i]), {"\x80", 1}};
		send_raw(raw, parts, 2);
		assert_int_equal(WAIT(ps_responder_next, resp, &req), -EBADMSG);
		assert_int_equal(ps_responder_malformed(resp), ++refused);
	}

	static const char *const good[] = {"v", "#1", "id", "#1", "op", "status", NULL};
	const struct bytes head = packed(&b, good);
	const struct bytes args[] = {
		{"", 0}, {"\xc0", 1}, {"\x90", 1}, {"\xdf\xff\xff\xff\xff", 5}, {"\x80\x80", 2}, {"\xc1", 1}};
	for (size_t i = 0; i < PS_ARRAY_SIZE(args); i++) {
		const struct bytes parts[] = {head, args[i]};
		send_raw(raw, parts, 2);
		assert_int_equal(WAIT(ps_responder_next, resp, &req), -EBADMSG);
		assert_int_equal(ps_responder_malformed(resp), ++refused);
	}
	const struct bytes counts[] = {head, {"\x80", 1}, {"", 0}, {"", 0}, {"", 0}, {"", 0}};
	for (size_t n = 1; n <= PS_ARRAY_SIZE(counts); n++) {
		if (n == 2)
			continue;
		send_raw(raw, counts, n);
		assert_int_equal(WAIT(ps_responder_next, resp, &req), -EBADMSG);
		assert_int_equal(ps_responder_malformed(resp), ++refused);
	}
	/* One with a name longer than we keep. */
	char name[200];
	memset(name, 'n', sizeof(name));
	void *named = raw_socket(context, ZMQ_DEALER);
	assert_int_equal(zmq_setsockopt(named, ZMQ_ROUTING_ID, name, sizeof(name)), 0);
	assert_int_equal(zmq_connect(named, at), 0);
	send_raw(named, counts, 2);
	assert_int_equal(WAIT(ps_responder_next, resp, &req), -EBADMSG);
	(void)zmq_close(named);

	send_raw(raw, counts, 2);
	assert_int_equal(WAIT(ps_responder_next, resp, &req), 1);
	assert_string_equal(req.op, "status");
	ps_request_free(&req);
	(void)zmq_close(raw);
	(void)zmq_ctx_term(context);
}

static void wrong_replies_are_refused(void **state)
{
	(void)state;
	const char *at = tempdir_path("ipc://", "liar.sock");
	void *context = zmq_ctx_new(), *raw = raw_socket(context, ZMQ_ROUTER);
	assert_int_equal(zmq_bind(raw, at), 0);
	_cleanup_(ps_requester_free) struct ps_requester *rq = requester(at);
	(void)ask(rq, "status", NULL, NULL);

	uint8_t identity[255];
	int len = zmq_recv(raw, identity, sizeof(identity), 0);
	assert_true(len > 0);
	const struct bytes who = {identity, (size_t)len};
	static const char *const good[] = {"v", "#1", "id", "#1", "status", "#200", NULL};
	static const char *const wrong[][9] = {
		{"id", "#1", "status", "#200", NULL},
		{"v", "#1", "status", "#200", NULL},
		{"v", "#1", "id", "#1", NULL},
		{"v", "#1", "id", "#1", "status", "#99", NULL},
		{"v", "#1", "id", "#1", "status", "#600", NULL},
		{"v", "#1", "id", "#1", "status", "#404", NULL},
		{"v", "#1", "id", "#1", "status", "#404", "error", "x", NULL},
	};
	_cleanup_(ps_buf_free) struct ps_buf b = PS_BUF_INIT;
	struct ps_reply reply = {.id = 4711};
	for (size_t i = 0; i < PS_ARRAY_SIZE(wrong); i++) {
		const struct bytes parts[] = {who, packed(&b, wrong[i]), {"\x80", 1}};
		send_raw(raw, parts, 3);
		assert_int_equal(WAIT(ps_requester_next, rq, &reply), -EBADMSG);
	}
	_cleanup_free_ uint8_t *big = calloc(1, PS_BUS_MESSAGE_MAX + 1);
	const struct bytes head = packed(&b, good);
	const struct bytes shapes[][5] = {
		{who, head},
		{who, head, {"\x90", 1}},
		{who, head, {"\xdd\xff\xff\xff\xff", 5}},
		{who, head, {"\x80", 1}, {big, PS_BUS_MESSAGE_MAX + 1}},
		{who, head, {"\x80", 1}, {"", 0}, {"", 0}},
	};
	const size_t counts[] = {2, 3, 3, 4, 5};
	for (size_t i = 0; i < PS_ARRAY_SIZE(shapes); i++) {
		send_raw(raw, shapes[i], counts[i]);
		assert_int_equal(WAIT(ps_requester_next, rq, &reply), -EBADMSG);
	}
	assert_int_equal(reply.id, 4711);

	/* A call is not led astray by any of it. */
	send_raw(raw, shapes[1], 3);
	struct ps_error e = {0};
	assert_int_equal(ps_requester_call(rq, "status", NULL, NULL, 100, &reply, &e), -ETIMEDOUT);
	(void)zmq_close(raw);
	(void)zmq_ctx_term(context);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(replies_of_every_shape),
		cmocka_unit_test(calls),
		cmocka_unit_test(what_was_given_up_takes_no_effect_later),
		cmocka_unit_test(a_part_that_reads_nothing_is_told_soon),
		cmocka_unit_test(a_requester_that_has_gone_is_no_error),
		cmocka_unit_test(a_request_past_its_deadline_is_dropped_and_counted),
		cmocka_unit_test(wrong_requests_are_refused_and_counted),
		cmocka_unit_test(wrong_replies_are_refused),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
