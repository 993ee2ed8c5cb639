/*
 * The gateway whole: bytes in, bytes out, over its real server, event loop and bus. At the other end of the bus a
 * responder speaks docs/control.md from the test itself.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/codec/batch.h"
#include "common/codec/json.h"
#include "common/codec/msgpack.h"
#include "gateway/events.h"
#include "gateway/exchange.h"
#include "gateway/listen.h"
#include "gateway/page.h"
#include "gateway/server.h"
#include "gateway/share.h"

#define WAIT_NS (8 * PS_NSEC) /* a test that hangs ends here */
#define TOTAL 2500            /* connections that the responder has */

struct fixture {
	char dir[32];
	struct ps_bus *bus;
	struct ps_loop *loop;
	struct ps_forward *forward;
	struct ps_gateway gateway;
	struct ps_events *events_hub;
	struct ps_server *server;
	struct ps_endpoints ep;
	struct ps_publisher *events; /* where the collector would publish */
	struct ps_responder *control, *ai;
	uint16_t port;
	int guard;              /* timer */
	bool collector_stuck;   /* says nothing any more, though its socket is open */
	bool mute;              /* the aggregator hears and says nothing */
	struct ps_request last; /* of the aggregator */
	unsigned asked;
};

/* One client socket and what came back. */
struct client {
	struct fixture *f;
	int fd;
	const char *out;
	size_t out_len;
	struct ps_buf in;
	bool head; /* no body follows */
	bool closed;
};

/* --- the other end ------------------------------------------------------------------------------ */

static void reply_map(
	struct fixture *f, struct ps_responder *r, const struct ps_request *req, int status, const char *json)
{
	_cleanup_(ps_value_free) struct ps_value *v = NULL;

	(void)f;
	assert_int_equal(ps_json_parse(json, strlen(json), &v, NULL), 0);
	assert_int_equal(ps_responder_reply(r, req, status, v, NULL, 0, NULL), 0);
}

static struct ps_value *fields_of(enum ps_record_type type)
{
	_cleanup_(ps_buf_free) struct ps_buf b = PS_BUF_INIT;
	struct ps_value *v = NULL;

	ps_batch_fields(&b, type);
	assert_int_equal(ps_msgpack_parse(b.data, b.len, &v), 0);
	return v;
}

static void reply_conns(struct fixture *f, const struct ps_request *req)
{
	_cleanup_(ps_value_free) struct ps_value *body = ps_value_map();
	int64_t from = strtol(ps_value_get_string(req->args, "cursor", "0"), NULL, 10);
	int64_t limit = ps_value_get_int(req->args, "limit", 100);
	int64_t to = PS_MIN(from + limit, TOTAL);
	struct ps_batch batch;
	const uint8_t *data;
	size_t len;
	char next[32];

	assert_in_range(limit, 1, PS_REQUEST_PAGE_MAX);
	ps_batch_init(&batch, PS_RECORD_CONN);
	for (int64_t i = from; i < to; i++) {
		struct ps_conn c = {.id = (uint64_t)i + 1,
			.proto = 6,
			.src_port = 56789,
			.dst_port = 443,
			.orig_packets = 30,
			.resp_packets = 12,
			.last_seen = 1682944496ull * PS_NSEC};

		assert_int_equal(ps_addr_parse("192.168.1.100", 13, &c.src_ip), 0);
		assert_int_equal(ps_addr_parse("93.184.216.34", 13, &c.dst_ip), 0);
		assert_int_equal(ps_batch_add(&batch, &c), 0);
	}
	ps_batch_payload(&batch, &data, &len);
	(void)snprintf(next, sizeof(next), "%lld", (long long)to);
	assert_int_equal(ps_value_set(body, "total", ps_value_int(TOTAL)), 0);
	assert_int_equal(ps_value_set(body, "next", ps_value_string(to < TOTAL ? next : NULL)), 0);
	assert_int_equal(ps_value_set(body, "fields", fields_of(PS_RECORD_CONN)), 0);
	assert_int_equal(ps_responder_reply(f->control, req, 200, body, data, len, NULL), 0);
	ps_batch_free(&batch);
}

static void reply_error(
	struct ps_responder *r, const struct ps_request *req, int status, const char *code, const char *field)
{
	struct ps_error err = {0};

	(void)ps_error_set(&err, 0, status, code, field, "No, because of %s.", field);
	assert_int_equal(ps_responder_reply(r, req, status, NULL, NULL, 0, &err), 0);
}

static void reply_stats(struct fixture *f, const struct ps_request *req)
{
	_cleanup_(ps_value_free) struct ps_value *v = ps_value_map();

	assert_int_equal(ps_value_set(v, "TotalPackets", ps_value_uint(UINT64_MAX)), 0);
	assert_int_equal(ps_responder_reply(f->control, req, 200, v, NULL, 0, NULL), 0);
}

static void answer_control(struct fixture *f, const struct ps_request *req)
{
	int64_t id = ps_value_get_int(req->args, "id", -1);

	if (!strcmp(req->op, "conns.list"))
		reply_conns(f, req);
	else if (!strcmp(req->op, "stats"))
		reply_stats(f, req);
	else if (!strcmp(req->op, "rules.list"))
		reply_map(f, f->control, req, 200, "{\"generation\":1,\"rules\":[]}");
	else if (!strcmp(req->op, "rules.create") && ps_value_get(ps_value_get(req->args, "rule"), "icmp_type"))
		reply_error(f->control, req, 400, "bad_value", "icmp_type");
	else if (!strcmp(req->op, "rules.create"))
		reply_map(f, f->control, req, 201, "{\"id\":3,\"action\":\"drop\"}");
	else if (!strncmp(req->op, "rules.", 6) && id != 3)
		reply_error(f->control, req, 404, "not_found", "id");
	else if (!strcmp(req->op, "rules.delete"))
		assert_int_equal(ps_responder_reply(f->control, req, 204, NULL, NULL, 0, NULL), 0);
	else if (!strncmp(req->op, "rules.", 6))
		reply_map(f, f->control, req, 200, "{\"id\":3,\"enabled\":true}");
	else if (!strcmp(req->op, "status"))
		reply_map(f, f->control, req, 200,
			f->collector_stuck ? "{\"part\":\"aggregator\",\"version\":\"1\",\"pid\":2,\"kernel\":\"ok\","
					     "\"collector\":{\"pid\":9,\"age\":3.5}}"
					   : "{\"part\":\"aggregator\",\"version\":\"1\",\"pid\":2,\"kernel\":\"ok\","
					     "\"collector\":{\"pid\":9,\"age\":1.5}}");
	else
		reply_error(f->control, req, 404, "unknown_op", "op");
}

static int on_control(void *arg)
{
	struct fixture *f = arg;
	struct ps_request req = {0};

	if (ps_responder_next(f->control, &req) != 1)
		return 0;
	f->asked++;
	if (!f->mute)
		answer_control(f, &req);
	ps_request_free(&f->last);
	f->last = req;
	return 0;
}

static int on_ai(void *arg)
{
	struct fixture *f = arg;
	_cleanup_(ps_request_free) struct ps_request req = {0};

	if (ps_responder_next(f->ai, &req) != 1)
		return 0;
	reply_map(f, f->ai, &req, 200, "{\"part\":\"ai-worker\",\"is_configured\":false}");
	return 0;
}

/* --- set-up ------------------------------------------------------------------------------------- */

static int on_guard(void *arg)
{
	(void)arg;
	return -ETIMEDOUT;
}

static int on_pause(void *arg)
{
	ps_loop_stop(arg);
	return 0;
}

/* Lets the loop run for a while. */
static void let_run(struct fixture *f, uint64_t ns)
{
	int timer;

	assert_int_equal(ps_loop_add_timer(f->loop, ns, on_pause, f->loop, &timer), 0);
	assert_int_equal(ps_loop_run(f->loop), 0);
	ps_loop_set_timer(f->loop, timer, 0);
}

static int setup_with(void **state, bool aggregator, bool ai)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct ps_listen listen;
	int fd = -1;

	assert_non_null(f);
	strcpy(f->dir, "/tmp/ps-gate-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(ps_endpoints_default(f->dir, &f->ep), 0);
	assert_int_equal(ps_bus_new(&f->bus), 0);
	assert_int_equal(ps_loop_new(&f->loop), 0);
	f->gateway.collector = f->ep.events;
	if (aggregator) {
		assert_int_equal(ps_publisher_new(f->bus, f->ep.events, false, &f->events, NULL), 0);
		assert_int_equal(ps_responder_new(f->bus, f->ep.control, &f->control, NULL), 0);
		assert_int_equal(ps_loop_add_responder(f->loop, f->control, on_control, f), 0);
	}
	if (ai) {
		assert_int_equal(ps_responder_new(f->bus, f->ep.ai, &f->ai, NULL), 0);
		assert_int_equal(ps_loop_add_responder(f->loop, f->ai, on_ai, f), 0);
	}
	assert_int_equal(ps_forward_new(f->bus, f->loop, &f->ep, &f->forward, NULL), 0);
	assert_int_equal(ps_events_new(f->bus, f->loop, &f->ep, &f->events_hub), 0);
	f->gateway.events = f->events_hub;
	f->gateway.forward = f->forward;
	f->gateway.access = (struct ps_access){.hostname = "", .allow_host = "", .cors_origin = ""};
	assert_int_equal(ps_listen_parse("127.0.0.1:0", &listen, NULL), 0);
	assert_int_equal(ps_listen_open(&listen, &fd, &f->port, NULL), 0);
	assert_int_equal(ps_server_new(f->loop, &f->gateway, fd, NULL, &f->server, NULL), 0);
	assert_int_equal(ps_loop_add_timer(f->loop, WAIT_NS, on_guard, f, &f->guard), 0);
	if (aggregator || ai)
		let_run(f, PS_NSEC / 20); /* the bus connects */
	*state = f;
	return 0;
}

static int setup(void **state)
{
	return setup_with(state, true, true);
}

static int setup_alone(void **state)
{
	return setup_with(state, false, false);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	ps_forward_free(&f->forward);
	ps_server_free(&f->server);
	ps_shares_free(&f->gateway);
	ps_events_free(&f->events_hub);
	ps_publisher_free(&f->events);
	ps_responder_free(&f->control);
	ps_responder_free(&f->ai);
	ps_request_free(&f->last);
	ps_loop_free(&f->loop);
	ps_bus_free(&f->bus);
	(void)rmdir(f->dir);
	free(f);
	return 0;
}

/* --- the client --------------------------------------------------------------------------------- */

/* Is a whole response there? */
static bool complete(struct client *c)
{
	const char *text = ps_buf_str(&c->in), *end, *length;

	if (c->closed)
		return true;
	end = text ? strstr(text, "\r\n\r\n") : NULL;
	if (!end)
		return false;
	length = strcasestr(text, "\r\nContent-Length: ");
	if (c->head || !length || length > end)
		return true;
	return c->in.len >= (size_t)(end - text) + 4 + strtoul(length + 18, NULL, 10);
}

static int on_client(void *arg)
{
	struct client *c = arg;
	char chunk[65536];
	ssize_t n;

	if (c->out_len) {
		n = send(c->fd, c->out, c->out_len, MSG_NOSIGNAL);
		if (n > 0) {
			c->out += n;
			c->out_len -= (size_t)n;
		} else if (n < 0 && errno != EAGAIN) {
			c->out_len = 0;
		}
		if (!c->out_len)
			assert_int_equal(ps_loop_add_fd(c->f->loop, c->fd, on_client, c), 0);
	}
	n = recv(c->fd, chunk, sizeof(chunk), 0);
	if (n > 0)
		ps_buf_add(&c->in, chunk, (size_t)n);
	else if (n == 0 || errno != EAGAIN)
		c->closed = true;
	if (complete(c))
		ps_loop_stop(c->f->loop);
	return 0;
}

static void client_open(struct fixture *f, struct client *c)
{
	struct sockaddr_in sa = {
		.sin_family = AF_INET, .sin_port = htons(f->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	*c = (struct client){.f = f, .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
	assert_true(c->fd >= 0);
	assert_int_equal(connect(c->fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(fcntl(c->fd, F_SETFL, O_NONBLOCK), 0);
}

static void client_send(struct client *c, const char *data, size_t len)
{
	c->out = data;
	c->out_len = len;
	ps_buf_reset(&c->in);
	c->head = !strncmp(data, "HEAD ", 5);
	assert_int_equal(ps_loop_add_fd_events(c->f->loop, c->fd, POLLIN | POLLOUT, on_client, c), 0);
}

static void client_close(struct client *c)
{
	ps_loop_remove_fd(c->f->loop, c->fd);
	(void)close(c->fd);
	ps_buf_free(&c->in);
}

/* The text that came back, status line first; the caller frees it. */
static char *exchange_n(struct fixture *f, const char *data, size_t len)
{
	struct client c;
	char *text;

	client_open(f, &c);
	client_send(&c, data, len);
	ps_loop_set_timer(f->loop, f->guard, WAIT_NS);
	assert_int_equal(ps_loop_run(f->loop), 0);
	text = strdup(ps_buf_str(&c.in) ?: "");
	client_close(&c);
	assert_non_null(text);
	return text;
}

static char *ask(struct fixture *f, const char *method, const char *target, const char *headers, const char *body)
{
	_cleanup_free_ char *text = NULL;

	assert_true(asprintf(&text, "%s %s HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: %zu\r\n\r\n%s", method,
			    target, headers, body ? strlen(body) : 0, body ? body : "") > 0);
	return exchange_n(f, text, strlen(text));
}

static int status_of(const char *answer)
{
	return strncmp(answer, "HTTP/1.1 ", 9) ? 0 : atoi(answer + 9);
}

static const char *body_of(const char *answer)
{
	const char *end = strstr(answer, "\r\n\r\n");

	return end ? end + 4 : "";
}

static bool has_header(const char *answer, const char *line)
{
	_cleanup_free_ char *text = NULL;
	const char *at, *end = strstr(answer, "\r\n\r\n");

	assert_true(asprintf(&text, "\r\n%s\r\n", line) > 0);
	at = strcasestr(answer, text);
	return at && end && at <= end;
}

static void expect(struct fixture *f, const char *method, const char *target, const char *body, int status,
	const char *part_of_body)
{
	_cleanup_free_ char *a = ask(f, method, target, "", body);

	if (status_of(a) != status || (part_of_body && !strstr(body_of(a), part_of_body)))
		fail_msg("%s %s: wanted %d with %s, got %s", method, target, status,
			part_of_body ? part_of_body : "anything", a);
	if (body_of(a)[0])
		assert_int_equal(a[strlen(a) - 1], '\n');
}

/* --- tests -------------------------------------------------------------------------------------- */

static void relays_exactly(void **state)
{
	expect(*state, "GET", "/api/stats", NULL, 200, "{\"TotalPackets\":18446744073709551615}\n");
	expect(*state, "GET", "/api/ai/status", NULL, 200, "\"is_configured\":false");
	expect(*state, "POST", "/api/ai/analyze", "", 200, "ai-worker");
	expect(*state, "POST", "/api/ai/analyze", "{\"include_tcp\":true}", 200, "ai-worker");
}

static void filters(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *created = NULL, *deleted = NULL, *bad = NULL;

	expect(f, "GET", "/api/filters", NULL, 200, "[]\n");
	created = ask(f, "POST", "/api/filters", "Content-Type: application/x-www-form-urlencoded\r\n",
		"{\"action\":\"drop\"}");
	assert_int_equal(status_of(created), 201);
	assert_true(has_header(created, "Location: /api/filters/3"));
	assert_true(has_header(created, "Content-Type: application/json"));
	assert_string_equal(f->last.peer, "127.0.0.1");
	expect(f, "PUT", "/api/filters/3", "{\"comment\":\"x\"}", 200, "\"id\":3");
	assert_string_equal(f->last.op, "rules.update");
	assert_string_equal(ps_value_get_string(ps_value_get(f->last.args, "rule"), "comment", ""), "x");
	expect(f, "POST", "/api/filters/3/enable", NULL, 200, "\"enabled\":true");
	assert_string_equal(f->last.op, "rules.enable");
	expect(f, "GET", "/api/filters/4", NULL, 404, "\"field\":\"id\"");
	expect(f, "GET", "/api/filters/x", NULL, 400, "\"field\":\"id\"");
	expect(f, "GET", "/api/filters/2147483648", NULL, 400, "\"field\":\"id\"");
	deleted = ask(f, "DELETE", "/api/filters/3", "", NULL);
	assert_int_equal(status_of(deleted), 204);
	assert_string_equal(body_of(deleted), "");
	bad = ask(f, "POST", "/api/filters", "", "{\"icmp_type\":256}");
	assert_int_equal(status_of(bad), 400);
	assert_true(has_header(bad, "Content-Type: application/problem+json"));
	assert_non_null(strstr(bad, "\"field\":\"icmp_type\""));
}

static void bodies_that_are_no_rule(void **state)
{
	struct fixture *f = *state;
	static char deep[20001];

	memset(deep, '[', sizeof(deep) - 1);
	expect(f, "POST", "/api/filters", "", 400, "bad_json");
	expect(f, "POST", "/api/filters", "{\"a\":", 400, "bad_json");
	expect(f, "POST", "/api/filters", "{} {}", 400, "bad_json");
	expect(f, "POST", "/api/filters", "rule_type=tcp", 400, "bad_json");
	expect(f, "POST", "/api/filters", "[]", 400, "a list");
	expect(f, "POST", "/api/filters", "7", 400, "a number");
	expect(f, "POST", "/api/filters", deep, 400, "bad_json");
	assert_int_equal(f->asked, 0);
}

static void lists(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *few = NULL, *all = NULL, *plain = NULL;
	_cleanup_(ps_value_free) struct ps_value *v = NULL;

	few = ask(f, "GET", "/api/connections?limit=2&proto=tcp", "", NULL);
	assert_int_equal(status_of(few), 200);
	assert_true(has_header(few, "X-Total-Count: 2500"));
	assert_true(has_header(few, "Link: </api/connections?limit=2&proto=tcp&cursor=2>; rel=\"next\""));
	assert_int_equal(ps_json_parse(body_of(few), strlen(body_of(few)), &v, NULL), 0);
	assert_int_equal(ps_value_count(v), 2);
	assert_string_equal(
		ps_value_get_string(ps_value_at(v, 0), "key", ""), "192.168.1.100:56789 -> 93.184.216.34:443 (TCP)");
	assert_non_null(strstr(ps_value_get_string(ps_value_at(v, 0), "info", ""), "Packets: 42,"));
	assert_string_equal(ps_value_get_string(ps_value_at(v, 1), "id", ""), "0000000000000002");
	assert_string_equal(ps_value_get_string(f->last.args, "proto", ""), "tcp");
	ps_value_free(&v);

	plain = ask(f, "GET", "/api/connections", "", NULL);
	assert_int_equal(ps_json_parse(body_of(plain), strlen(body_of(plain)), &v, NULL), 0);
	assert_int_equal(ps_value_count(v), PS_LIST_DEFAULT);
	ps_value_free(&v);

	f->asked = 0;
	all = ask(f, "GET", "/api/connections?limit=10000", "", NULL);
	assert_int_equal(ps_json_parse(body_of(all), strlen(body_of(all)), &v, NULL), 0);
	assert_int_equal(ps_value_count(v), TOTAL);
	assert_int_equal(f->asked, 3);
	assert_false(strcasestr(all, "\r\nLink:") != NULL);
	for (size_t i = 0; i < TOTAL; i++) {
		char id[17];

		(void)snprintf(id, sizeof(id), "%016zx", i + 1);
		assert_string_equal(ps_value_get_string(ps_value_at(v, i), "id", ""), id);
	}
	assert_int_equal(f->gateway.large_lists, 0);
	expect(f, "GET", "/api/connections?limit=0", NULL, 400, "\"field\":\"limit\"");
	expect(f, "GET", "/api/connections/xyz", NULL, 400, "\"field\":\"id\"");
	expect(f, "GET", "/api/connections?q=%", NULL, 400, "bad_query");
}

static void paths_and_methods(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *wrong = NULL, *options = NULL, *odd = NULL, *full = NULL, *head = NULL;

	expect(f, "GET", "/api/nothing", NULL, 404, "no_such_path");
	expect(f, "GET", "/../etc/passwd", NULL, 404, "no_such_path");
	expect(f, "GET", "/assets/..%2f..%2fetc", NULL, 404, "no_such_path");
	wrong = ask(f, "DELETE", "/api/stats", "", NULL);
	assert_int_equal(status_of(wrong), 405);
	assert_true(has_header(wrong, "Allow: GET, HEAD, OPTIONS"));
	odd = ask(f, "BREW", "/api/filters", "", NULL);
	assert_int_equal(status_of(odd), 405);
	options = ask(f, "OPTIONS", "/api/filters/3", "", NULL);
	assert_int_equal(status_of(options), 204);
	assert_true(has_header(options, "Allow: GET, HEAD, PUT, PATCH, DELETE, OPTIONS"));
	full = ask(f, "GET", "/api/stats", "", NULL);
	head = ask(f, "HEAD", "/api/stats", "", NULL);
	assert_int_equal(status_of(head), 200);
	assert_string_equal(body_of(head), "");
	assert_true(has_header(head, "Content-Length: 38"));
	assert_true(has_header(full, "Content-Length: 38"));
}

static void page(void **state)
{
	struct fixture *f = *state;
	const struct ps_asset *index = ps_asset_find("index.html");
	_cleanup_free_ char *a = ask(f, "GET", "/", "", NULL), *again = NULL, *request = NULL;
	char etag[PS_ASSET_ETAG];

	assert_int_equal(status_of(a), 200);
	assert_true(has_header(a, "Content-Type: text/html; charset=utf-8"));
	assert_non_null(strstr(a, "Content-Security-Policy: default-src 'none'; script-src 'self'"));
	assert_null(strstr(a, "unsafe-inline"));
	assert_non_null(index);
	assert_int_equal(strlen(body_of(a)), (size_t)(index->end - index->data));
	assert_true(asprintf(&request, "If-None-Match: %s\r\n", ps_asset_etag(index, etag)) > 0);
	again = ask(f, "GET", "/", request, NULL);
	assert_int_equal(status_of(again), 304);
	expect(f, "GET", "/assets/none.js", NULL, 404, "no_such_path");
}

static const struct ps_tokens tokens = {.n = 1, .token = {{"0123456789abcdef", PS_SCOPE_ADMIN}}};

static void refusals(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *rebind = NULL, *foreign = NULL, *token = NULL, *given = NULL, *open = NULL;
	static const char request[] = "GET /api/stats HTTP/1.1\r\nHost: evil.example\r\n\r\n";

	rebind = exchange_n(f, request, sizeof(request) - 1);
	assert_int_equal(status_of(rebind), 403);
	foreign = ask(f, "POST", "/api/filters", "Origin: http://evil.example\r\nContent-Type: text/plain\r\n",
		"{\"action\":\"drop\"}");
	assert_int_equal(status_of(foreign), 403);
	assert_int_equal(f->asked, 0);
	f->gateway.access.tokens = &tokens;
	f->gateway.access.token_always = true;
	token = ask(f, "POST", "/api/filters", "", "{\"action\":\"drop\"}");
	assert_int_equal(status_of(token), 401);
	assert_true(has_header(token, "WWW-Authenticate: Bearer realm=\"packetscope\""));
	assert_int_equal(f->asked, 0);
	given = ask(f, "GET", "/api/stats", "Authorization: Bearer 0123456789abcdef\r\n", NULL);
	assert_int_equal(status_of(given), 200);
	open = ask(f, "GET", "/", "", NULL);
	assert_int_equal(status_of(open), 200);
}

static void cors(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *off = ask(f, "GET", "/api/stats", "Origin: https://noc.example\r\n", NULL), *on = NULL,
			    *preflight = NULL, *other = NULL;

	assert_null(strcasestr(off, "Access-Control"));
	f->gateway.access.cors_origin = "https://noc.example";
	on = ask(f, "GET", "/api/stats", "Origin: https://noc.example\r\n", NULL);
	assert_true(has_header(on, "Access-Control-Allow-Origin: https://noc.example"));
	preflight = ask(f, "OPTIONS", "/api/filters",
		"Origin: https://noc.example\r\nAccess-Control-Request-Method: POST\r\n", NULL);
	assert_int_equal(status_of(preflight), 204);
	assert_true(has_header(preflight, "Access-Control-Allow-Methods: GET, HEAD, POST, PUT, OPTIONS"));
	assert_true(has_header(
		preflight, "Access-Control-Allow-Headers: Authorization, Content-Type, If-Match, Last-Event-ID"));
	other = ask(f, "GET", "/api/stats", "Origin: https://evil.example\r\n", NULL);
	assert_null(strcasestr(other, "Access-Control"));
	assert_true(has_header(other, "Vary: Origin"));
}

static void too_large(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *body = malloc(PS_HTTP_BODY_SMALL + 2), *a = NULL, *announced = NULL, *chunked = NULL,
			    *request = NULL, *target = NULL;
	static const char huge[] =
		"POST /api/filters HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n";

	assert_non_null(body);
	memset(body, ' ', PS_HTTP_BODY_SMALL + 1);
	body[PS_HTTP_BODY_SMALL + 1] = '\0';
	a = ask(f, "POST", "/api/filters", "", body);
	assert_int_equal(status_of(a), 413);
	announced = exchange_n(f, huge, sizeof(huge) - 1); /* refused before a byte of it is read */
	assert_int_equal(status_of(announced), 413);
	assert_true(asprintf(&request,
			    "POST /api/filters HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: "
			    "chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n",
			    PS_HTTP_BODY_SMALL + 1, body) > 0);
	chunked = exchange_n(f, request, strlen(request));
	assert_int_equal(status_of(chunked), 413);
	assert_int_equal(f->asked, 0);
	body[PS_HTTP_TARGET_MAX + 1] = '\0';
	memset(body, 'a', PS_HTTP_TARGET_MAX + 1);
	body[0] = '/';
	target = ask(f, "GET", body, "", NULL);
	assert_int_equal(status_of(target), 414);
}

static void parts_down(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *a = ask(f, "GET", "/api/connections", "", NULL);

	assert_int_equal(status_of(a), 503);
	assert_true(has_header(a, "Content-Type: application/problem+json"));
	assert_non_null(strstr(a, "The aggregator does not answer."));
	expect(f, "GET", "/api/ai/status", NULL, 503, "The ai-worker does not answer.");
	expect(f, "GET", "/api/health", NULL, 503, "\"status\":\"down\"");
	expect(f, "GET", "/", NULL, 200, "<");
}

static void health(void **state)
{
	struct fixture *f = *state;

	expect(f, "GET", "/api/health", NULL, 200, "\"status\":\"ok\"");
	expect(f, "GET", "/api/health", NULL, 200, "\"collector\":{\"ok\":true");
	f->collector_stuck = true;
	expect(f, "GET", "/api/health", NULL, 503, "\"collector\":{\"ok\":false,\"reason\":\"The collector is stuck");
	f->collector_stuck = false;
	f->mute = true;
	expect(f, "GET", "/api/health", NULL, 503, "\"ai-worker\":{\"ok\":true");
	f->mute = false;
	ps_publisher_free(&f->events);
	expect(f, "GET", "/api/health", NULL, 503, "\"collector\":{\"ok\":false");
}

/* A part that says nothing holds up only those who ask it. */
static void a_slow_request_holds_nobody_up(void **state)
{
	struct fixture *f = *state;
	static const char request[] = "GET /api/stats HTTP/1.1\r\nHost: localhost\r\n\r\n";
	struct client slow;
	uint64_t begin;

	f->mute = true;
	client_open(f, &slow);
	client_send(&slow, request, sizeof(request) - 1);
	let_run(f, PS_NSEC / 10);
	assert_int_equal(f->asked, 1);
	begin = ps_clock_boot();
	expect(f, "GET", "/api/ai/status", NULL, 200, "ai-worker");
	expect(f, "GET", "/", NULL, 200, "<");
	assert_true(ps_clock_boot() - begin < PS_NSEC);
	assert_int_equal(slow.in.len, 0);
	ps_loop_set_timer(f->loop, f->guard, WAIT_NS);
	assert_int_equal(ps_loop_run(f->loop), 0); /* until its time is over */
	assert_int_equal(status_of(ps_buf_str(&slow.in)), 503);
	client_close(&slow);
}

/* Many at once on one connection after the other, and requests that are cut off while they wait. */
static void clients_that_leave(void **state)
{
	struct fixture *f = *state;
	static const char request[] = "GET /api/stats HTTP/1.1\r\nHost: localhost\r\n\r\n";

	f->mute = true;
	for (int i = 0; i < 20; i++) {
		struct client c;

		client_open(f, &c);
		client_send(&c, request, sizeof(request) - 1);
		let_run(f, PS_NSEC / 200);
		client_close(&c);
	}
	f->mute = false;
	expect(f, "GET", "/api/stats", NULL, 200, "TotalPackets");
	/* What still waits is answered, into nothing, at the end: teardown. */
}

static void keeps_the_connection(void **state)
{
	struct fixture *f = *state;
	static const char request[] = "GET /api/stats HTTP/1.1\r\nHost: localhost\r\n\r\n";
	struct client c;

	client_open(f, &c);
	for (int i = 0; i < 50; i++) {
		client_send(&c, request, sizeof(request) - 1);
		ps_loop_set_timer(f->loop, f->guard, WAIT_NS);
		assert_int_equal(ps_loop_run(f->loop), 0);
		assert_int_equal(status_of(ps_buf_str(&c.in)), 200);
		assert_false(c.closed);
	}
	client_close(&c);
	assert_int_equal(f->asked, 50);
}

static void not_http(void **state)
{
	struct fixture *f = *state;
	static const char *const garbage[] = {"\r\n\r\n\r\n\r\n", "GET\r\n\r\n",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "GET / HTTP/1.1\r\n\r\n",
		"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
		"POST /api/filters HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
		"POST /api/filters HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"};

	for (size_t i = 0; i < PS_ARRAY_SIZE(garbage); i++) {
		struct client c;

		client_open(f, &c);
		client_send(&c, garbage[i], strlen(garbage[i]));
		let_run(f, PS_NSEC / 50);
		client_close(&c);
	}
	assert_int_equal(f->asked, 0);
	expect(f, "GET", "/api/stats", NULL, 200, "TotalPackets");
}

/* A byte every now and then keeps libmicrohttpd content; the deadline of a request does not care. */
static void a_request_must_end(void **state)
{
	struct fixture *f = *state;
	uint64_t begin = ps_clock_boot();
	struct client c;

	client_open(f, &c);
	client_send(&c, "GET /api/stats HTTP/1.1\r\nX: ", 28);
	while (!c.closed && ps_clock_boot() - begin < (PS_HTTP_REQUEST_TIMEOUT_S + 5) * PS_NSEC) {
		ps_loop_set_timer(f->loop, f->guard, WAIT_NS);
		let_run(f, PS_NSEC / 2);
		(void)send(c.fd, "x", 1, MSG_NOSIGNAL);
	}
	assert_true(c.closed);
	assert_in_range(
		(ps_clock_boot() - begin) / PS_NSEC, PS_HTTP_REQUEST_TIMEOUT_S - 1, PS_HTTP_REQUEST_TIMEOUT_S + 2);
	client_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(relays_exactly, setup, teardown),
		cmocka_unit_test_setup_teardown(filters, setup, teardown),
		cmocka_unit_test_setup_teardown(bodies_that_are_no_rule, setup, teardown),
		cmocka_unit_test_setup_teardown(lists, setup, teardown),
		cmocka_unit_test_setup_teardown(paths_and_methods, setup, teardown),
		cmocka_unit_test_setup_teardown(page, setup, teardown),
		cmocka_unit_test_setup_teardown(refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(cors, setup, teardown),
		cmocka_unit_test_setup_teardown(too_large, setup, teardown),
		cmocka_unit_test_setup_teardown(parts_down, setup_alone, teardown),
		cmocka_unit_test_setup_teardown(health, setup, teardown),
		cmocka_unit_test_setup_teardown(a_slow_request_holds_nobody_up, setup, teardown),
		cmocka_unit_test_setup_teardown(clients_that_leave, setup, teardown),
		cmocka_unit_test_setup_teardown(keeps_the_connection, setup, teardown),
		cmocka_unit_test_setup_teardown(not_http, setup, teardown),
		cmocka_unit_test_setup_teardown(a_request_must_end, setup, teardown),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
