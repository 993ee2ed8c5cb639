#include "gateway/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "gateway/client.h"
#include "gateway/limits.h"
#include "gateway/listen.h"

#define TICK_NS PS_NSEC /* deadlines are looked at once a second while there are connections */
#define RUNS_MAX 16     /* rounds of libmicrohttpd before the loop's other sources get their turn */

struct ps_server {
	struct ps_loop *loop;
	struct ps_gateway *gateway;
	struct MHD_Daemon *daemon;
	int epoll_fd;  /* libmicrohttpd's */
	int run_timer; /* libmicrohttpd's next time-out */
	int tick_timer;
	struct ps_clients clients;
	uint64_t now; /* boot time when libmicrohttpd's present round began: near enough for deadlines of seconds */
	bool stopping;
};

/* One request. `x` first: the transport finds its request from an exchange. */
struct request {
	struct ps_exchange x;
	struct ps_server *server;
	struct MHD_Connection *connection;
	struct ps_client *client;
	char *target; /* owned; NULL = no memory */
	bool opened;  /* ps_gateway_open was called */
	bool running; /* the handler was called */
	bool heard;   /* something of it came since the last tick */
	bool suspended;
};

/* --- connections -------------------------------------------------------------------------------- */

/* While there are connections their deadlines are looked at. */
static void tick_while_needed(struct ps_server *s, bool was_empty)
{
	bool empty = !s->clients.first;

	if (empty != was_empty && !s->stopping)
		ps_loop_set_timer(s->loop, s->tick_timer, empty ? 0 : TICK_NS);
}

static void address(const struct sockaddr *sa, struct ps_addr *ret_addr)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	*ret_addr = (struct ps_addr){0};
	if (sa->sa_family == AF_INET) {
		ret_addr->family = 4;
		ret_addr->word[0] = ((const struct sockaddr_in *)sa)->sin_addr.s_addr;
	} else if (sa->sa_family == AF_INET6) {
		const struct in6_addr *in6 = &((const struct sockaddr_in6 *)sa)->sin6_addr;

		if (!memcmp(in6, mapped, sizeof(mapped))) { /* IPv4 over a dual-stack socket */
			ret_addr->family = 4;
			memcpy(ret_addr->word, in6->s6_addr + 12, 4);
		} else {
			ret_addr->family = 6;
			memcpy(ret_addr->word, in6, sizeof(*in6));
		}
	}
}

/* This host itself may take all places but a quarter, for behind one address of it may be a proxy with many clients. */
static size_t places_of(const struct ps_addr *addr)
{
	return ps_addr_is_loopback(addr) ? PS_HTTP_CONNECTIONS_MAX * 3 / 4 : PS_HTTP_PER_IP_MAX;
}

static uint16_t port(const struct sockaddr *sa)
{
	if (sa->sa_family == AF_INET)
		return ntohs(((const struct sockaddr_in *)sa)->sin_port);
	return sa->sa_family == AF_INET6 ? ntohs(((const struct sockaddr_in6 *)sa)->sin6_port) : 0;
}

/* Where a connection came to: it stays so for all its requests. */
static void local_address(struct ps_client *c)
{
	struct sockaddr_storage local = {0};
	socklen_t len = sizeof(local);

	if (getsockname(c->fd, (struct sockaddr *)&local, &len) != 0)
		return;
	address((struct sockaddr *)&local, &c->local);
	c->local_port = port((struct sockaddr *)&local);
}

static enum MHD_Result on_accept(void *cls, const struct sockaddr *sa, socklen_t len)
{
	struct ps_server *s = cls;
	struct ps_addr addr;

	(void)len;
	address(sa, &addr);
	return ps_clients_admit(
		       &s->clients, &addr, PS_HTTP_CONNECTIONS_MAX, places_of(&addr), &s->gateway->totals.evicted)
		       ? MHD_YES
		       : MHD_NO;
}

static void on_connection(
	void *cls, struct MHD_Connection *connection, void **socket_context, enum MHD_ConnectionNotificationCode code)
{
	struct ps_server *s = cls;
	bool was_empty = !s->clients.first;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		s->gateway->totals.connections++;
		const union MHD_ConnectionInfo *info =
			MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
		struct ps_addr addr = {0};
		struct ps_client *c;
		int fd;

		if (info && info->client_addr)
			address(info->client_addr, &addr);
		info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
		fd = info ? info->connect_fd : -1;
		/* Without memory it is served without a deadline of ours: libmicrohttpd's idle time-out remains. */
		*socket_context = c =
			ps_client_new(&s->clients, fd, &addr, s->now + PS_HTTP_REQUEST_TIMEOUT_S * PS_NSEC, s->now);
		if (c)
			local_address(c);
	} else {
		struct ps_client *c = *socket_context;

		s->gateway->totals.connections--;
		ps_client_free(&s->clients, &c);
		*socket_context = NULL;
	}
	tick_while_needed(s, was_empty);
}

static struct ps_client *client_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

/* Seconds from now; 0: none. */
static void client_deadline(struct ps_client *c, uint64_t now, uint64_t s)
{
	if (c)
		c->deadline = s ? now + s * PS_NSEC : UINT64_MAX;
}

static void on_cut(struct ps_exchange *x);

/*
 * Is more of the request awaited from somebody who sends nothing any more? libmicrohttpd does not notice when the end
 * came with the last bytes: a read that does not fill its buffer makes it wait for the next edge of epoll, which has
 * been. Only after a tick without a sign of it: what was read may not have been handed on yet.
 */
static bool is_deserted(struct request *rq)
{
	bool heard = rq->heard;

	rq->heard = false;
	return !heard && !rq->running && !rq->suspended && !rq->x.answered && ps_client_gone(rq->client);
}

static int on_tick(void *arg)
{
	struct ps_server *s = arg;
	size_t n = ps_clients_expire(&s->clients, ps_clock_boot());

	for (struct ps_client *c = s->clients.first; c; c = c->next) {
		if (c->shut || !c->request)
			continue;
		if (c->endless ? ps_client_gone(c) : is_deserted(c->request))
			on_cut(c->request);
	}
	s->gateway->totals.expired += n;
	if (n)
		ps_log(PS_LOG_DEBUG, "connections took too long", "closed=%zu", n);
	return 0;
}

/* --- requests ----------------------------------------------------------------------------------- */

static void addresses(struct request *rq)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(rq->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);

	if (info && info->client_addr) {
		address(info->client_addr, &rq->x.req.peer);
		rq->x.req.peer_port = port(info->client_addr);
	}
	if (rq->client) {
		rq->x.req.local = rq->client->local;
		rq->x.req.local_port = rq->client->local_port;
	}
	ps_addr_format(&rq->x.req.peer, rq->x.peer);
}

static const char *header(struct request *rq, const char *name)
{
	return MHD_lookup_connection_value(rq->connection, MHD_HEADER_KIND, name);
}

/* The announced length; "chunked" and nonsense count as unknown (libmicrohttpd refuses the latter). */
static uint64_t announced(struct request *rq)
{
	const char *text = header(rq, MHD_HTTP_HEADER_CONTENT_LENGTH);

	return text ? strtoull(text, NULL, 10) : 0;
}

/* Until on_done. */
static void suspend(struct request *rq)
{
	rq->suspended = true;
	MHD_suspend_connection(rq->connection);
}

/* The answer is there, or a stream has something to read, or there is room for more of the body. */
static void on_done(struct ps_exchange *x)
{
	struct request *rq = (struct request *)x;

	if (!rq->suspended)
		return;
	rq->suspended = false;
	MHD_resume_connection(rq->connection);
	/* Without a thread of its own libmicrohttpd does not wake its epoll descriptor for this. */
	ps_loop_set_timer(rq->server->loop, rq->server->run_timer, 1);
}

static void on_cut(struct ps_exchange *x)
{
	struct request *rq = (struct request *)x;

	if (rq->client)
		ps_client_shut(rq->client, true);
	on_done(x); /* libmicrohttpd looks at no connection that is suspended */
}

static void on_extend(struct ps_exchange *x)
{
	client_deadline(((struct request *)x)->client, ps_clock_boot(), PS_HTTP_RESPONSE_TIMEOUT_S);
}

/* libmicrohttpd has read a request line: the request begins here. What is returned comes back as the request's context.
 */
static void *on_target(void *cls, const char *target, struct MHD_Connection *connection)
{
	struct ps_server *s = cls;
	struct request *rq = malloc(sizeof(*rq)); /* not calloc, which passes over what its thread freed last */

	if (!rq)
		return NULL;
	*rq = (struct request){
		.x = {.gateway = s->gateway, .done = on_done, .wake = on_done, .cut = on_cut, .extend = on_extend},
		.server = s,
		.connection = connection,
		.client = client_of(connection),
		.target = strdup(target),
	};
	if (rq->client)
		rq->client->request = rq;
	client_deadline(rq->client, rq->server->now, PS_HTTP_REQUEST_TIMEOUT_S);
	return rq;
}

static void on_completed(
	void *cls, struct MHD_Connection *connection, void **context, enum MHD_RequestTerminationCode code)
{
	struct request *rq = *context;

	(void)cls;
	(void)connection;
	(void)code;
	if (!rq)
		return;
	/* The next request of this connection must be whole soon after it begins; silence until then is libmicrohttpd's
	 * idle time-out. */
	client_deadline(rq->client, rq->server->now, PS_HTTP_IDLE_TIMEOUT_S + PS_HTTP_REQUEST_TIMEOUT_S);
	if (rq->client) {
		rq->client->busy = false;
		rq->client->since = rq->server->now;
		rq->client->request = NULL;
	}
	ps_exchange_free(&rq->x);
	free(rq->target);
	free(rq);
	*context = NULL;
}

static void open_request(struct request *rq, const char *method)
{
	struct ps_exchange *x = &rq->x;
	struct ps_error err = {0};

	rq->opened = true;
	addresses(rq);
	x->req.method = ps_http_method_parse(method);
	x->req.headers = (struct ps_http_headers){
		.host = header(rq, MHD_HTTP_HEADER_HOST),
		.origin = header(rq, MHD_HTTP_HEADER_ORIGIN),
		.authorization = header(rq, MHD_HTTP_HEADER_AUTHORIZATION),
		.content_type = header(rq, MHD_HTTP_HEADER_CONTENT_TYPE),
		.if_none_match = header(rq, MHD_HTTP_HEADER_IF_NONE_MATCH),
		.sec_fetch_site = header(rq, "Sec-Fetch-Site"),
		.last_event_id = header(rq, "Last-Event-ID"),
		.if_match = header(rq, MHD_HTTP_HEADER_IF_MATCH),
		.accept = header(rq, MHD_HTTP_HEADER_ACCEPT),
		.accept_encoding = header(rq, MHD_HTTP_HEADER_ACCEPT_ENCODING),
		.cache_control = header(rq, MHD_HTTP_HEADER_CACHE_CONTROL),
	};
	if (!rq->target) {
		(void)ps_error_set(&err, 0, 503, "no_memory", "", "The gateway has no memory left.");
		ps_refuse(x, &err);
	} else if (strlen(rq->target) > PS_HTTP_TARGET_MAX) {
		(void)ps_error_set(
			&err, 0, 414, "too_long", "", "Path and query may have at most %d bytes.", PS_HTTP_TARGET_MAX);
		ps_refuse(x, &err);
	} else if (ps_http_request_target(&x->req, rq->target, &err) < 0) {
		ps_refuse(x, &err);
	} else {
		(void)ps_gateway_open(x, announced(rq));
	}
}

static void free_buffer(void *cls)
{
	free(cls);
}

static void free_response(void *response)
{
	MHD_destroy_response(response);
}

static ssize_t on_read(void *cls, uint64_t position, char *buf, size_t max)
{
	struct request *rq = cls;
	struct ps_stream *stream = &rq->x.resp.stream;
	ssize_t n = stream->read(stream->arg, buf, max);

	(void)position;
	if (n > 0)
		return n;
	if (n == PS_STREAM_END)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (n < 0 || rq->server->stopping)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	suspend(rq);
	return 0;
}

/* An event stream may last for days: it has a place of its own and no deadline; whoever feeds it cuts it. */
static void make_endless(struct request *rq)
{
	int size = PS_STREAM_SNDBUF;

	if (!rq->client)
		return;
	rq->client->endless = true;
	rq->client->deadline = UINT64_MAX;
	(void)setsockopt(rq->client->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

/* libmicrohttpd takes the bytes over without a copy. */
static struct MHD_Response *response_new(struct ps_http_response *resp, struct request *rq)
{
	struct MHD_Response *r;

	if (resp->error || resp->body.error) {
		static char text[] = "The answer does not fit into memory.\n";

		resp->status = 500;
		return MHD_create_response_from_buffer(sizeof(text) - 1, text, MHD_RESPMEM_PERSISTENT);
	}
	if (resp->fixed)
		return MHD_create_response_from_buffer(
			resp->fixed_len, (void *)(uintptr_t)resp->fixed, MHD_RESPMEM_PERSISTENT);
	if (resp->stream.read)
		return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, PS_HTTP_PIECE, on_read, rq, NULL);
	r = MHD_create_response_from_buffer_with_free_callback_cls(
		resp->body.len, resp->body.data, free_buffer, resp->body.data);
	if (r)
		resp->body = (struct ps_buf){0};
	return r;
}

/* With its headers; NULL: no memory. */
static struct MHD_Response *response_with_headers(struct ps_http_response *resp, struct request *rq)
{
	struct MHD_Response *r = response_new(resp, rq);

	for (size_t i = 0; r && i < resp->n_headers; i++) {
		if (MHD_add_response_header(r, resp->header[i].name, resp->header[i].value) != MHD_YES) {
			MHD_destroy_response(r);
			r = NULL;
		}
	}
	return r;
}

/* What several have is made for the first of them, and counted by libmicrohttpd. */
static struct MHD_Response *response_shared(struct ps_http_shared *shared)
{
	if (!shared->sent) {
		shared->sent = response_with_headers(&shared->answer, NULL);
		shared->free_sent = free_response;
	}
	return shared->sent;
}

static enum MHD_Result respond(struct request *rq)
{
	struct ps_http_response *resp = &rq->x.resp;
	struct MHD_Response *r = resp->shared ? response_shared(resp->shared) : response_with_headers(resp, rq);
	int status = resp->shared ? resp->shared->answer.status : resp->status;
	enum MHD_Result ret;

	if (!r)
		return MHD_NO;
	rq->server->gateway->totals.responses[PS_MIN(status / 100, 5)]++;
	client_deadline(rq->client, rq->server->now, PS_HTTP_RESPONSE_TIMEOUT_S);
	if (resp->stream.endless)
		make_endless(rq);
	ps_log(PS_LOG_DEBUG, "request", "peer=%s target=\"%s\" status=%d", rq->x.peer, rq->target ? rq->target : "",
		status);
	ret = MHD_queue_response(rq->connection, (unsigned)status, r);
	if (!resp->shared)
		MHD_destroy_response(r);
	return ret;
}

/*
 * Called when the headers are there, for each piece of the body, after the whole, and again when a suspended request is
 * resumed.
 */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
	const char *version, const char *data, size_t *data_len, void **context)
{
	struct request *rq = *context;

	(void)cls;
	(void)connection;
	(void)url;
	(void)version;
	if (!rq)
		return MHD_NO;
	rq->heard = true;
	rq->x.now = rq->server->now;
	/* What comes now would wait for parts that nobody listens to any more. */
	if (rq->server->stopping && !rq->x.answered)
		return MHD_NO;
	if (!rq->opened) {
		open_request(rq, method);
		/* A small body is read before the refusal, so that the client is not cut off while it sends; a large
		 * one is not. */
		if (rq->x.answered && announced(rq) > PS_HTTP_BODY_SMALL)
			return respond(rq);
		return MHD_YES;
	}
	if (*data_len) {
		bool wait = ps_gateway_take(&rq->x, data, *data_len) > 0;

		*data_len = 0;
		if (wait)
			suspend(rq);
		return MHD_YES;
	}
	if (!rq->x.answered && !rq->running) {
		rq->running = true;
		if (rq->client)
			rq->client->busy = true;
		client_deadline(rq->client, 0, 0);
		ps_gateway_run(&rq->x);
		if (!rq->x.answered) {
			suspend(rq);
			return MHD_YES;
		}
	}
	return rq->x.answered ? respond(rq) : MHD_YES;
}

/* --- in the loop -------------------------------------------------------------------------------- */

static int run(void *arg)
{
	struct ps_server *s = arg;
	MHD_UNSIGNED_LONG_LONG ms = 0;
	bool timeout = true;

	for (int i = 0; i < RUNS_MAX && timeout && ms == 0; i++) {
		s->now = ps_clock_boot();
		(void)MHD_run(s->daemon);
		timeout = MHD_get_timeout(s->daemon, &ms) == MHD_YES;
	}
	/* More to do at once: after the loop's other sources. Nothing to do: when a descriptor says so. */
	ps_loop_set_timer(s->loop, s->run_timer, !timeout ? 0 : ms ? ms * 1000000ull : 1);
	return 0;
}

static void on_log(void *cls, const char *fmt, va_list ap)
{
	char text[256];

	(void)cls;
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	text[strcspn(text, "\r\n")] = '\0';
	ps_log(PS_LOG_DEBUG, "http", "text=\"%s\"", text);
}

/* TLS 1.2 and 1.3, whatever else this machine's policy would allow. */
#define PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

static int start(struct ps_server *s, int listen_fd, const struct ps_tls *tls, struct ps_error *err)
{
	const union MHD_DaemonInfo *info;
	const struct MHD_OptionItem secure[] = {
		{MHD_OPTION_HTTPS_MEM_CERT, 0, tls ? tls->cert : NULL},
		{MHD_OPTION_HTTPS_MEM_KEY, 0, tls ? tls->key : NULL},
		{MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)PRIORITIES},
		{MHD_OPTION_END, 0, NULL},
	};
	const struct MHD_OptionItem plain[] = {{MHD_OPTION_END, 0, NULL}};
	unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG | (tls ? MHD_USE_TLS : 0);

	if (tls && MHD_is_feature_supported(MHD_FEATURE_TLS) != MHD_YES)
		return ps_error_set(err, -ENOTSUP, 400, "no_tls", "tls-cert",
			"This build of libmicrohttpd knows no TLS; put a proxy in front, or leave --tls-cert out.");
	s->daemon = MHD_start_daemon(flags, 0, on_accept, s, on_request, s, MHD_OPTION_EXTERNAL_LOGGER, on_log, s,
		MHD_OPTION_LISTEN_SOCKET, listen_fd, MHD_OPTION_URI_LOG_CALLBACK, on_target, s,
		MHD_OPTION_NOTIFY_COMPLETED, on_completed, s, MHD_OPTION_NOTIFY_CONNECTION, on_connection, s,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned)(PS_HTTP_CONNECTIONS_MAX + PS_STREAMS_MAX + PS_HTTP_LEAVING),
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)PS_HTTP_IDLE_TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)PS_HTTP_MEMORY, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
		MHD_OPTION_ARRAY, tls ? secure : plain, MHD_OPTION_END);
	if (!s->daemon && tls)
		return ps_error_set(err, -EINVAL, 400, "tls_file", "tls-cert",
			"The HTTPS server cannot start; do certificate and key belong together? See: "
			"openssl x509 -noout -pubkey -in CERT; openssl pkey -pubout -in KEY");
	if (!s->daemon)
		return ps_error_set(err, -EIO, 500, "listen_failed", "api", "The HTTP server cannot start.");
	info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	if (!info || info->epoll_fd < 0)
		return ps_error_set(err, -EIO, 500, "listen_failed", "api", "The HTTP server has no epoll descriptor.");
	s->epoll_fd = info->epoll_fd;
	return 0;
}

int ps_server_new(struct ps_loop *loop, struct ps_gateway *gateway, int listen_fd, const struct ps_tls *tls,
	struct ps_server **ret_server, struct ps_error *err)
{
	_cleanup_close_ int fd = listen_fd;
	_cleanup_(ps_server_free) struct ps_server *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->loop = loop;
	s->gateway = gateway;
	s->epoll_fd = -1;
	r = ps_loop_add_timer(loop, PS_NSEC, run, s, &s->run_timer);
	if (r == 0)
		r = ps_loop_add_timer(loop, TICK_NS, on_tick, s, &s->tick_timer);
	if (r < 0)
		return r;
	ps_loop_set_timer(loop, s->tick_timer, 0);
	r = start(s, fd, tls, err);
	if (s->daemon)
		fd = -1; /* libmicrohttpd closes it, not the cleanup; NOLINT(clang-analyzer-deadcode.DeadStores) */
	if (r == 0)
		r = ps_loop_add_fd(loop, s->epoll_fd, run, s);
	if (r < 0)
		return r;
	(void)run(s);
	*ret_server = PS_TAKE(s);
	return 0;
}

void ps_server_free(struct ps_server **server)
{
	struct ps_server *s = *server;

	if (!s)
		return;
	s->stopping = true;
	if (s->daemon) {
		for (struct ps_client *c = s->clients.first; c; c = c->next) {
			if (c->request)
				on_cut(c->request); /* libmicrohttpd must not end with suspended connections */
		}
		if (s->epoll_fd >= 0)
			ps_loop_remove_fd(s->loop, s->epoll_fd);
		(void)MHD_run(s->daemon); /* answers that came last */
		MHD_stop_daemon(s->daemon);
	}
	ps_loop_set_timer(s->loop, s->run_timer, 0);
	ps_loop_set_timer(s->loop, s->tick_timer, 0);
	free(s);
	*server = NULL;
}
