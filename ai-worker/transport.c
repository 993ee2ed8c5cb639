#include "ai-worker/transport.h"

#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "ai-worker/limits.h"
#include "ai-worker/reach.h"
#include "bpf/abi.h"
#include "common/base/cleanup.h"

struct ps_transport_call {
	struct ps_transport_call *next;
	struct ps_transport *transport;
	CURL *curl;
	struct curl_slist *headers;
	struct ps_buf body; /* what is sent */
	bool reach_all;
	bool refused; /* an address was not to be reached */
	char error[CURL_ERROR_SIZE];
	struct ps_http_answer answer;
	ps_transport_fn fn;
	void *arg;
};

struct ps_transport {
	struct ps_loop *loop;
	CURLM *multi;
	int timer;
	char *ca_file; /* NULL = the system's */
	struct ps_transport_call *calls;
};

/* A descriptor of libcurl's in the loop. */
struct watch {
	struct ps_transport *transport;
	int fd;
};

#define NO_TIMER 3600000000000ull

/* --- one call ------------------------------------------------------------------------------------ */

/* Header lines hold the key. */
static void wipe_headers(struct curl_slist **headers)
{
	for (struct curl_slist *h = *headers; h; h = h->next)
		explicit_bzero(h->data, strlen(h->data));
	curl_slist_free_all(*headers);
	*headers = NULL;
}

static void call_free(struct ps_transport_call *c)
{
	if (c->curl) {
		(void)curl_multi_remove_handle(c->transport->multi, c->curl);
		curl_easy_cleanup(c->curl);
	}
	wipe_headers(&c->headers);
	ps_buf_free(&c->body);
	ps_buf_free(&c->answer.body);
	free(c);
}

static struct ps_transport_call *unlink_call(struct ps_transport *t, const struct ps_transport_call *c)
{
	for (struct ps_transport_call **at = &t->calls; *at; at = &(*at)->next) {
		struct ps_transport_call *found = *at;

		if (found != c)
			continue;
		*at = found->next;
		return found;
	}
	return NULL;
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct ps_transport_call *c = arg;

	ps_buf_add(&c->answer.body, data, size * n);
	return c->answer.body.error ? 0 : size * n;
}

static void take_header(const char *line, const char *name, char *to, size_t size)
{
	size_t len = strlen(name);

	if (strncasecmp(line, name, len) != 0 || line[len] != ':')
		return;
	line += len + 1;
	line += strspn(line, " \t");
	(void)snprintf(to, size, "%.*s", (int)strcspn(line, "\r\n"), line);
}

static size_t on_header(char *data, size_t size, size_t n, void *arg)
{
	struct ps_transport_call *c = arg;
	char line[512];

	if (size * n < sizeof(line)) {
		memcpy(line, data, size * n);
		line[size * n] = '\0';
		take_header(line, "Location", c->answer.location, sizeof(c->answer.location));
		take_header(line, "Retry-After", c->answer.retry_after, sizeof(c->answer.retry_after));
	}
	return size * n;
}

static bool address_of(const struct sockaddr *sa, struct ps_addr *ret)
{
	*ret = (struct ps_addr){0};
	if (sa->sa_family == AF_INET) {
		ret->family = PS_FAMILY_IPV4;
		memcpy(ret->word, &((const struct sockaddr_in *)sa)->sin_addr, 4);
		return true;
	}
	if (sa->sa_family == AF_INET6) {
		ret->family = PS_FAMILY_IPV6;
		memcpy(ret->word, &((const struct sockaddr_in6 *)sa)->sin6_addr, 16);
		return true;
	}
	return false;
}

/* libcurl is about to connect: now the address is known, and it is the one that is connected to. */
static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *to)
{
	struct ps_transport_call *c = arg;
	struct ps_addr a;
	const char *why;

	(void)purpose;
	if (!address_of(&to->addr, &a))
		return CURL_SOCKET_BAD;
	why = c->reach_all ? NULL : ps_reach_refusal(&a);
	if (why) {
		char text[PS_ADDR_TEXT];

		c->refused = true;
		(void)snprintf(c->answer.detail, sizeof(c->answer.detail), "%s is %s", ps_addr_format(&a, text), why);
		return CURL_SOCKET_BAD;
	}
	return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

static int add_header(struct ps_transport_call *c, const char *line)
{
	struct curl_slist *more = curl_slist_append(c->headers, line);

	if (!more)
		return -ENOMEM;
	c->headers = more;
	return 0;
}

static int add_headers(struct ps_transport_call *c, const struct ps_http_post *post)
{
	char text[PS_AI_KEY_MAX + 64];
	int r = add_header(c, "Content-Type: application/json");

	if (r == 0)
		r = add_header(c, "Accept: application/json");
	if (r == 0)
		r = add_header(c, "Expect:"); /* no round trip for a permission that nobody withholds */
	if (r < 0 || !post->key)
		return r;
	(void)snprintf(text, sizeof(text), post->azure ? "api-key: %s" : "Authorization: Bearer %s", post->key->text);
	r = add_header(c, text);
	explicit_bzero(text, sizeof(text));
	return r;
}

static void set_protocols(CURL *curl)
{
#if LIBCURL_VERSION_NUM >= 0x075500
	(void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
#else
	(void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
}

static void set_options(struct ps_transport_call *c, const struct ps_http_post *post)
{
	long timeout_ms = (long)(post->timeout / 1000000) + 1;
	CURL *curl = c->curl;

	set_protocols(curl);
	(void)curl_easy_setopt(curl, CURLOPT_URL, post->url);
	(void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, (const char *)c->body.data);
	(void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)c->body.len);
	(void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, c->headers);
	(void)curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
	(void)curl_easy_setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	(void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, PS_MIN(timeout_ms, (long)PS_AI_CONNECT_TIMEOUT_MS));
	(void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, timeout_ms);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, c);
	(void)curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
	(void)curl_easy_setopt(curl, CURLOPT_HEADERDATA, c);
	(void)curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, on_open);
	(void)curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, c);
	(void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, c->error);
	(void)curl_easy_setopt(curl, CURLOPT_USERAGENT, "packetscope/" PS_VERSION);
	(void)curl_easy_setopt(curl, CURLOPT_PRIVATE, c);
	if (c->transport->ca_file)
		(void)curl_easy_setopt(curl, CURLOPT_CAINFO, c->transport->ca_file);
}

static enum ps_http_outcome outcome_of(const struct ps_transport_call *c, CURLcode code)
{
	if (c->refused && code != CURLE_OK)
		return PS_HTTP_NOT_ALLOWED;
	switch (code) {
	case CURLE_OK:
		return PS_HTTP_ANSWERED;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return PS_HTTP_NO_HOST;
	case CURLE_COULDNT_CONNECT:
		return PS_HTTP_NO_CONNECT;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CACERT_BADFILE:
		return PS_HTTP_NO_TRUST;
	case CURLE_OPERATION_TIMEDOUT:
		return PS_HTTP_TIMED_OUT;
	case CURLE_WRITE_ERROR:
		return PS_HTTP_TOO_LARGE;
	case CURLE_PARTIAL_FILE:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM:
		return PS_HTTP_CUT;
	default:
		return PS_HTTP_FAILED;
	}
}

static void complete(struct ps_transport_call *c, CURLcode code)
{
	struct ps_http_answer *a = &c->answer;
	const char *type = NULL;
	long status = 0;

	a->outcome = outcome_of(c, code);
	(void)curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
	(void)curl_easy_getinfo(c->curl, CURLINFO_CONTENT_TYPE, &type);
	a->status = (int)status;
	(void)snprintf(a->content_type, sizeof(a->content_type), "%s", type ? type : "");
	if (a->outcome != PS_HTTP_ANSWERED && a->outcome != PS_HTTP_NOT_ALLOWED)
		(void)snprintf(a->detail, sizeof(a->detail), "%.*s", (int)sizeof(a->detail) - 1,
			*c->error ? c->error : curl_easy_strerror(code));
	c->fn(c->arg, a);
}

/* --- libcurl and the loop ------------------------------------------------------------------------ */

static void finish_calls(struct ps_transport *t)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(t->multi, &left))) {
		struct ps_transport_call *c = NULL;
		CURLcode code = m->data.result;

		if (m->msg != CURLMSG_DONE)
			continue;
		(void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &c);
		/* The callback may begin another call. */
		c = unlink_call(t, c);
		if (!c)
			continue;
		complete(c, code);
		call_free(c);
	}
}

static int on_ready(void *arg)
{
	const struct watch *w = arg;
	struct ps_transport *t = w->transport;
	int running;

	(void)curl_multi_socket_action(t->multi, w->fd, 0, &running);
	finish_calls(t);
	return 0;
}

static int on_timer(void *arg)
{
	struct ps_transport *t = arg;
	int running;

	ps_loop_set_timer(t->loop, t->timer, 0);
	(void)curl_multi_socket_action(t->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	finish_calls(t);
	return 0;
}

static int on_watch(CURL *curl, curl_socket_t fd, int what, void *arg, void *mine)
{
	struct ps_transport *t = arg;
	struct watch *w = mine;
	short events = 0;

	(void)curl;
	if (what == CURL_POLL_REMOVE) {
		ps_loop_remove_fd(t->loop, fd);
		(void)curl_multi_assign(t->multi, fd, NULL);
		free(w);
		return 0;
	}
	if (!w) {
		w = calloc(1, sizeof(*w));
		if (!w)
			return -1;
		*w = (struct watch){.transport = t, .fd = fd};
		if (curl_multi_assign(t->multi, fd, w) != CURLM_OK) {
			free(w);
			return -1;
		}
	}
	if (what & CURL_POLL_IN)
		events |= POLLIN;
	if (what & CURL_POLL_OUT)
		events |= POLLOUT;
	return ps_loop_add_fd_events(t->loop, fd, events, on_ready, w) < 0 ? -1 : 0;
}

static int on_timeout(CURLM *multi, long ms, void *arg)
{
	struct ps_transport *t = arg;

	(void)multi;
	ps_loop_set_timer(t->loop, t->timer, ms < 0 ? 0 : ms == 0 ? 1 : (uint64_t)ms * 1000000u);
	return 0;
}

/* With the first call: a worker without an LLM, or before anybody asks it, is spared libcurl's memory and OpenSSL's. */
static int begin(struct ps_transport *t)
{
	if (t->multi)
		return 0;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
		return -ENOMEM;
	t->multi = curl_multi_init();
	if (!t->multi)
		return -ENOMEM;
	(void)curl_multi_setopt(t->multi, CURLMOPT_SOCKETFUNCTION, on_watch);
	(void)curl_multi_setopt(t->multi, CURLMOPT_SOCKETDATA, t);
	(void)curl_multi_setopt(t->multi, CURLMOPT_TIMERFUNCTION, on_timeout);
	(void)curl_multi_setopt(t->multi, CURLMOPT_TIMERDATA, t);
	return 0;
}

int ps_transport_new(struct ps_loop *loop, const char *ca_file, struct ps_transport **ret_transport)
{
	_cleanup_(ps_transport_free) struct ps_transport *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	t->loop = loop;
	t->ca_file = *ca_file ? strdup(ca_file) : NULL;
	if (*ca_file && !t->ca_file)
		return -ENOMEM;
	r = ps_loop_add_timer(loop, NO_TIMER, on_timer, t, &t->timer);
	if (r < 0)
		return r;
	ps_loop_set_timer(loop, t->timer, 0);
	*ret_transport = PS_TAKE(t);
	return 0;
}

void ps_transport_free(struct ps_transport **transport)
{
	struct ps_transport *t = *transport;

	if (!t)
		return;
	while (t->calls)
		call_free(unlink_call(t, t->calls));
	if (t->multi)
		(void)curl_multi_cleanup(t->multi);
	free(t->ca_file);
	free(t);
	*transport = NULL;
}

int ps_transport_post(struct ps_transport *t, const struct ps_http_post *post, ps_transport_fn fn, void *arg,
	struct ps_transport_call **ret_call)
{
	struct ps_transport_call *c = calloc(1, sizeof(*c));
	int r = begin(t);

	if (!c || r < 0) {
		free(c);
		return -ENOMEM;
	}
	c->transport = t;
	c->reach_all = post->reach_all;
	c->fn = fn;
	c->arg = arg;
	c->answer.body.limit = PS_AI_ANSWER_BYTES;
	ps_buf_add(&c->body, post->body->data, post->body->len);
	c->curl = curl_easy_init();
	r = c->curl ? add_headers(c, post) : -ENOMEM;
	if (r == 0 && c->body.error)
		r = c->body.error;
	if (r == 0) {
		set_options(c, post);
		r = curl_multi_add_handle(t->multi, c->curl) == CURLM_OK ? 0 : -ENOMEM;
	}
	if (r < 0) {
		call_free(c);
		return r;
	}
	c->next = t->calls;
	t->calls = c;
	*ret_call = c;
	return 0;
}

void ps_transport_cancel(struct ps_transport *t, struct ps_transport_call **call)
{
	struct ps_transport_call *c = *call ? unlink_call(t, *call) : NULL;

	*call = NULL;
	if (c)
		call_free(c);
}
