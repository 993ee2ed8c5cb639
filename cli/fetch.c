#include "cli/fetch.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/limits.h"
#include "common/base/cleanup.h"

struct ps_fetch {
	CURL *curl;
	struct curl_slist *headers;
	char base[PS_FETCH_BASE_SIZE];
	const char *cert;   /* NULL: the machine's own authorities */
	const char *socket; /* NULL: TCP */
	long timeout_ms;
	const atomic_int *cancel;
};

/* The host that reaches a listener on "every address" from here. */
static const char *reachable_host(const char *host)
{
	if (*host == '\0' || strcmp(host, "0.0.0.0") == 0 || strcmp(host, "*") == 0)
		return "127.0.0.1";
	return strcmp(host, "[::]") == 0 ? "[::1]" : host;
}

int ps_fetch_address(const char *address, char ret_base[static PS_FETCH_BASE_SIZE])
{
	char host[PS_FETCH_BASE_SIZE], *colon;
	const char *port = "8080";
	int n;

	if (strncmp(address, "http://", 7) == 0 || strncmp(address, "https://", 8) == 0) {
		n = snprintf(host, sizeof(host), "%s", address);
		if (n >= (int)sizeof(host))
			return -ENAMETOOLONG;
		while (n > 0 && host[n - 1] == '/')
			host[--n] = '\0';
		memcpy(ret_base, host, (size_t)n + 1);
		return 0;
	}
	if (!*address || strpbrk(address, " /?#@"))
		return -EINVAL;
	if (snprintf(host, sizeof(host), "%s", address) >= (int)sizeof(host))
		return -ENAMETOOLONG;
	colon = strrchr(host, ':');
	if (colon && !strchr(colon, ']')) {
		*colon = '\0';
		port = colon + 1;
	} else if (strspn(host, "0123456789") == strlen(host)) {
		port = address;
		host[0] = '\0';
	}
	if (!*port || strspn(port, "0123456789") != strlen(port) || strlen(port) > 5 || atoi(port) > 65535 ||
		atoi(port) == 0)
		return -EINVAL;
	n = snprintf(ret_base, PS_FETCH_BASE_SIZE, "http://%s:%s", reachable_host(host), port);
	return n < PS_FETCH_BASE_SIZE ? 0 : -ENAMETOOLONG;
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct ps_buf *body = arg;

	ps_buf_add(body, data, size * n);
	return body->error ? 0 : size * n;
}

/* <…?…cursor=TEXT…>; rel="next" (RFC 8288): one link a header, or several by commas. */
static void take_link(const char *line, struct ps_fetch_reply *reply)
{
	const char *rel = strstr(line, "rel=\"next\"");
	const char *open = NULL, *cursor;
	size_t len;

	for (const char *p = line; rel && p < rel; p++) {
		if (*p == '<')
			open = p;
	}
	cursor = open ? strstr(open, "cursor=") : NULL;
	if (!cursor || cursor > rel)
		return;
	cursor += strlen("cursor=");
	len = strcspn(cursor, "&>");
	if (len < sizeof(reply->next_cursor))
		(void)snprintf(reply->next_cursor, sizeof(reply->next_cursor), "%.*s", (int)len, cursor);
}

static size_t on_header(char *data, size_t size, size_t n, void *arg)
{
	struct ps_fetch_reply *reply = arg;
	char line[1024];

	if (size * n < sizeof(line)) {
		memcpy(line, data, size * n);
		line[size * n] = '\0';
		if (strncasecmp(line, "X-Total-Count:", 14) == 0)
			reply->total = strtoull(line + 14, NULL, 10);
		else if (strncasecmp(line, "Link:", 5) == 0)
			take_link(line, reply);
	}
	return size * n;
}

static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	const struct ps_fetch *client = arg;

	(void)a, (void)b, (void)c, (void)d;
	return client->cancel && *client->cancel;
}

/* Of this host's own gateway: exactly that certificate, whatever name it is in. */
static void set_trust(const struct ps_fetch *client)
{
	if (!client->cert)
		return;
	(void)curl_easy_setopt(client->curl, CURLOPT_CAINFO, client->cert);
	(void)curl_easy_setopt(client->curl, CURLOPT_SSL_VERIFYHOST, 0L);
}

int ps_fetch_new(const char *address, struct ps_fetch **ret_client, struct ps_error *err)
{
	_cleanup_(ps_fetch_free) struct ps_fetch *client = calloc(1, sizeof(*client));
	int r;

	if (!client || curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
		return ps_error_set(err, -ENOMEM, 500, "no_memory", "", "out of memory");
	r = ps_fetch_address(address, client->base);
	if (r < 0)
		return ps_error_set(err, r, 400, "bad_value", "api",
			"\"%s\" is no address; write :8080, 127.0.0.1:8080 or http://host:8080", address);
	client->curl = curl_easy_init();
	client->timeout_ms = PS_CLI_REQUEST_TIMEOUT_MS;
	if (!client->curl)
		return ps_error_set(err, -ENOMEM, 500, "no_memory", "", "out of memory");
	*ret_client = PS_TAKE(client);
	return 0;
}

void ps_fetch_free(struct ps_fetch **client)
{
	if (!*client)
		return;
	curl_slist_free_all((*client)->headers);
	if ((*client)->curl)
		curl_easy_cleanup((*client)->curl);
	free(*client);
	*client = NULL;
}

const char *ps_fetch_base(const struct ps_fetch *client)
{
	return client->base;
}

void ps_fetch_limit(struct ps_fetch *client, long timeout_ms, const atomic_int *cancel)
{
	client->timeout_ms = timeout_ms;
	client->cancel = cancel;
}

void ps_fetch_secure(struct ps_fetch *client, const char *cert_path)
{
	size_t len = strlen(client->base);

	if (strncmp(client->base, "http://", 7) != 0 || len + 1 >= sizeof(client->base))
		return;
	memmove(client->base + 5, client->base + 4, len - 4 + 1);
	client->base[4] = 's';
	client->cert = cert_path;
}

void ps_fetch_socket(struct ps_fetch *client, const char *path)
{
	client->socket = path;
}

int ps_fetch_token(struct ps_fetch *client, const char *token)
{
	char line[512];
	struct curl_slist *headers;

	if (!*token || strpbrk(token, " \r\n\t") ||
		snprintf(line, sizeof(line), "Authorization: Bearer %s", token) >= (int)sizeof(line))
		return -EINVAL;
	headers = curl_slist_append(client->headers, line);
	if (!headers)
		return -ENOMEM;
	client->headers = headers;
	return 0;
}

static int failure(const struct ps_fetch *client, CURLcode code, struct ps_error *err)
{
	switch (code) {
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
		return ps_error_set(err, -ECONNREFUSED, 503, "unreachable", "api",
			"nothing answers at %s; start it with `packetscope up`, or say where it is with --api",
			client->base);
	case CURLE_OPERATION_TIMEDOUT:
		return ps_error_set(err, -ETIMEDOUT, 503, "no_answer", "api",
			"%s did not answer within %ld ms; see `packetscope status`", client->base, client->timeout_ms);
	case CURLE_ABORTED_BY_CALLBACK:
		return ps_error_set(err, -ECANCELED, 503, "cancelled", "", "stopped");
	case CURLE_WRITE_ERROR:
		return ps_error_set(
			err, -E2BIG, 502, "too_large", "", "the answer is too large; ask for fewer with --limit");
	default:
		return ps_error_set(
			err, -EIO, 502, "bad_answer", "api", "%s: %s", client->base, curl_easy_strerror(code));
	}
}

static void headers_free(struct curl_slist **headers)
{
	curl_slist_free_all(*headers);
	*headers = NULL;
}

/* What goes with every call, and the body's type. NULL on no memory. */
static struct curl_slist *headers_of(const struct ps_fetch *client, const char *type)
{
	_cleanup_(headers_free) struct curl_slist *headers = NULL;
	char line[96];

	(void)snprintf(line, sizeof(line), "Content-Type: %.64s", type);
	headers = curl_slist_append(NULL, line);
	for (const struct curl_slist *h = client->headers; headers && h; h = h->next)
		if (!curl_slist_append(headers, h->data))
			return NULL;
	return PS_TAKE(headers);
}

int ps_fetch_call(struct ps_fetch *client, const char *method, const char *path, const char *body,
	struct ps_fetch_reply *ret_reply, struct ps_error *err)
{
	return ps_fetch_send(client, method, path, "application/json", body, body ? strlen(body) : 0, ret_reply, err);
}

int ps_fetch_send(struct ps_fetch *client, const char *method, const char *path, const char *type, const void *body,
	size_t len, struct ps_fetch_reply *ret_reply, struct ps_error *err)
{
	_cleanup_(headers_free) struct curl_slist *headers = headers_of(client, type);
	_cleanup_(ps_buf_free) struct ps_buf url = PS_BUF_INIT;
	_cleanup_(ps_fetch_reply_free) struct ps_fetch_reply reply = {.body = {.limit = PS_CLI_REPLY_MAX}};
	CURL *c = client->curl;
	CURLcode code;
	long status = 0;

	ps_buf_addf(&url, "%s%s", client->base, path);
	if (!ps_buf_str(&url) || !headers)
		return ps_error_set(err, -ENOMEM, 500, "no_memory", "", "out of memory");
	curl_easy_reset(c);
	set_trust(client);
	if (client->socket)
		(void)curl_easy_setopt(c, CURLOPT_UNIX_SOCKET_PATH, client->socket);
	(void)curl_easy_setopt(c, CURLOPT_URL, ps_buf_str(&url));
	(void)curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
	(void)curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
	if (body) {
		(void)curl_easy_setopt(c, CURLOPT_POSTFIELDS, body);
		(void)curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len);
	} else if (strcmp(method, "POST") == 0) {
		(void)curl_easy_setopt(c, CURLOPT_POSTFIELDS, "");
	}
	(void)curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	(void)curl_easy_setopt(c, CURLOPT_WRITEDATA, &reply.body);
	(void)curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	(void)curl_easy_setopt(c, CURLOPT_HEADERDATA, &reply);
	(void)curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
	(void)curl_easy_setopt(c, CURLOPT_XFERINFODATA, client);
	(void)curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
	(void)curl_easy_setopt(c, CURLOPT_NOPROXY, "*"); /* the gateway is on this host or named outright */
	(void)curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(
		c, CURLOPT_CONNECTTIMEOUT_MS, PS_MIN(client->timeout_ms, (long)PS_CLI_CONNECT_TIMEOUT_MS));
	(void)curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, client->timeout_ms);
	(void)curl_easy_setopt(c, CURLOPT_USERAGENT, "packetscope/" PS_VERSION);
	code = curl_easy_perform(c);
	if (code != CURLE_OK)
		return failure(client, code, err);
	(void)curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
	reply.status = (int)status;
	*ret_reply = reply;
	reply = (struct ps_fetch_reply){0};
	return 0;
}

void ps_fetch_reply_free(struct ps_fetch_reply *reply)
{
	ps_buf_free(&reply->body);
}

void ps_fetch_escape(struct ps_buf *out, const char *text)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

	for (; *text; text++) {
		if (strchr(plain, *text))
			ps_buf_addc(out, *text);
		else
			ps_buf_addf(out, "%%%02X", (unsigned char)*text);
	}
}
