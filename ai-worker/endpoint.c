#include "ai-worker/endpoint.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ai-worker/reach.h"
#include "common/base/cleanup.h"

#define FIELD "openai_endpoint"
#define CALL "/chat/completions"

#define bad(err, ...) ps_error_set(err, -EINVAL, 400, "bad_value", FIELD, __VA_ARGS__)

static bool ends_with(const char *s, size_t len, const char *tail)
{
	size_t n = strlen(tail);

	return len >= n && memcmp(s + len - n, tail, n) == 0;
}

/* Characters that a URL has (RFC 3986); nothing else may reach a log, a header or libcurl. */
static int check_characters(const char *text, struct ps_error *err)
{
	size_t len = strlen(text);

	if (len >= PS_ENDPOINT_TEXT)
		return bad(err, "the URL has %zu bytes; at most %d are taken", len, PS_ENDPOINT_TEXT - 1);
	for (const char *p = text; *p; p++) {
		if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f || strchr("\"<>\\^`{|}", *p))
			return bad(err, "the URL has a character that no URL has (at byte %zu); escape it as %%XX",
				(size_t)(p - text) + 1);
	}
	return 0;
}

static int read_port(const char *text, size_t len, uint16_t *port, struct ps_error *err)
{
	unsigned long n = 0;

	for (size_t i = 0; i < len; i++)
		n = isdigit((unsigned char)text[i]) && len <= 5 ? n * 10 + (unsigned long)(text[i] - '0') : 99999;
	if (n == 0 || n > UINT16_MAX)
		return bad(
			err, "the port \"%.*s\" must be a number from 1 to 65535", (int)PS_MIN(len, (size_t)16), text);
	*port = (uint16_t)n;
	return 0;
}

/* "host", "host:port", "[2001:db8::1]:port" */
static int read_authority(const char *text, size_t len, struct ps_llm_endpoint *ep, struct ps_error *err)
{
	const char *host = text, *after;
	size_t host_len;

	if (memchr(text, '@', len))
		return bad(err, "leave user and password out of the URL; the key goes into api_key");
	if (len > 0 && *text == '[') {
		const char *close = memchr(text, ']', len);
		struct ps_addr a;

		host++;
		host_len = close ? (size_t)(close - host) : 0;
		if (!close || ps_addr_parse(host, host_len, &a) < 0)
			return bad(err, "what stands in brackets must be an IPv6 address");
		after = close + 1;
	} else {
		const char *colon = memchr(text, ':', len);

		host_len = colon ? (size_t)(colon - text) : len;
		after = text + host_len;
		if (strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") < host_len)
			return bad(err, "the host has a character that no host name has");
	}
	if (host_len == 0 || host_len >= sizeof(ep->host))
		return bad(err, "the URL names no host; write it like https://api.openai.com/v1/chat/completions");
	for (size_t i = 0; i < host_len; i++)
		ep->host[i] = (char)tolower((unsigned char)host[i]);
	ep->host[host_len] = '\0';
	ep->port = ep->tls ? 443 : 80;
	if (after == text + len)
		return 0;
	if (*after != ':')
		return bad(err, "the host must be followed by a port, a path, or nothing");
	return read_port(after + 1, (size_t)(text + len - after - 1), &ep->port, err);
}

static bool is_azure(const struct ps_llm_endpoint *ep, const char *path)
{
	size_t len = strlen(ep->host);

	return ends_with(ep->host, len, ".openai.azure.com") ||
	       ends_with(ep->host, len, ".cognitiveservices.azure.com") || strstr(path, "/openai/deployments/");
}

/* The path to call; `path` is "" or begins with '/', `query` is "" or begins with '?'. */
static int build_url(
	struct ps_llm_endpoint *ep, const char *path, size_t path_len, const char *query, struct ps_error *err)
{
	const char *v6 = strchr(ep->host, ':') ? "[" : "", *add = CALL;

	while (path_len > 0 && path[path_len - 1] == '/')
		path_len--;
	if (ends_with(path, path_len, CALL))
		add = "";
	else if (path_len == 0 && !ep->azure)
		add = "/v1" CALL;
	if (ep->azure && !memmem(path, path_len, "/deployments/", 13) && path_len < strlen("/openai/v1"))
		return bad(err, "an Azure endpoint names its deployment: https://RESOURCE.openai.azure.com/openai/"
				"deployments/DEPLOYMENT/chat/completions?api-version=VERSION");
	if (ep->azure && memmem(path, path_len, "/deployments/", 13) && !strstr(query, "api-version="))
		return bad(err, "an Azure deployment needs ?api-version=VERSION at the end of its URL");
	if (snprintf(ep->url, sizeof(ep->url), "%s://%s%s%s:%u%.*s%s%s", ep->tls ? "https" : "http", v6, ep->host,
		    *v6 ? "]" : "", ep->port, (int)path_len, path, add, query) >= (int)sizeof(ep->url))
		return bad(err, "the URL is too long");
	(void)snprintf(ep->origin, sizeof(ep->origin), "%s://%s%s%s:%u", ep->tls ? "https" : "http", v6, ep->host,
		*v6 ? "]" : "", ep->port);
	return 0;
}

/* localhost, a name of the local network, or a private address written as such. */
static bool is_own(const char *host)
{
	static const char *const tails[] = {".localhost", ".local", ".internal", ".lan", ".home.arpa"};
	size_t len = strlen(host);
	struct ps_addr a;

	if (ps_addr_parse(host, len, &a) == 0)
		return ps_reach_local(&a);
	for (size_t i = 0; i < PS_ARRAY_SIZE(tails); i++) {
		if (ends_with(host, len, tails[i]))
			return true;
	}
	return !strchr(host, '.') && strspn(host, "0123456789") < len;
}

int ps_endpoint_parse(const char *text, struct ps_llm_endpoint *ret_ep, struct ps_error *err)
{
	struct ps_llm_endpoint ep = {0};
	const char *at, *path, *query;
	size_t len;
	int r = check_characters(text, err);

	if (r < 0)
		return r;
	if (strncasecmp(text, "https://", 8) == 0)
		ep.tls = true;
	else if (strncasecmp(text, "http://", 7) != 0)
		return bad(err, "\"%.48s\" must begin with https:// or http://", text);
	at = text + (ep.tls ? 8 : 7);
	if (strchr(at, '#'))
		return bad(err, "leave out what follows the # of the URL");
	len = strcspn(at, "/?");
	r = read_authority(at, len, &ep, err);
	if (r < 0)
		return r;
	path = at + len;
	query = path + strcspn(path, "?");
	ep.azure = is_azure(&ep, path);
	ep.own = is_own(ep.host);
	r = build_url(&ep, path, (size_t)(query - path), query, err);
	if (r < 0)
		return r;
	*ret_ep = ep;
	return 0;
}

static bool same_host(const struct ps_llm_endpoint *ep, const char *entry, size_t len)
{
	const char *host = entry, *port = NULL;
	size_t host_len = len;
	char number[8];

	if (len > 0 && *entry == '[') {
		const char *close = memchr(entry, ']', len);

		if (!close)
			return false;
		host++;
		host_len = (size_t)(close - host);
		if (close + 1 < entry + len)
			port = close + 2;
	} else {
		const char *colon = memchr(entry, ':', len);

		if (colon && !memchr(colon + 1, ':', len - (size_t)(colon + 1 - entry))) {
			host_len = (size_t)(colon - entry);
			port = colon + 1;
		}
	}
	if (strlen(ep->host) != host_len || strncasecmp(ep->host, host, host_len) != 0)
		return false;
	(void)snprintf(number, sizeof(number), "%u", ep->port);
	return !port || (strlen(number) == len - (size_t)(port - entry) && strncmp(number, port, strlen(number)) == 0);
}

bool ps_endpoint_listed(const struct ps_llm_endpoint *ep, const char *allow)
{
	while (*allow) {
		size_t len = strcspn(allow, ", ");

		if (len > 0 && same_host(ep, allow, len))
			return true;
		allow += len;
		allow += strspn(allow, ", ");
	}
	return false;
}

int ps_endpoint_permitted(const struct ps_llm_endpoint *ep, const char *allow, struct ps_error *err)
{
	static const char *const services[] = {"metadata", "metadata.google.internal", "metadata.goog", "instance-data",
		"instance-data.ec2.internal", "metadata.azure.internal"};
	const char *why = NULL;
	struct ps_addr a;

	if (ps_endpoint_listed(ep, allow))
		return 0;
	if (*allow)
		return ps_error_set(err, -EPERM, 403, "not_allowed", FIELD,
			"%s is not among the endpoints that this installation allows; add it to allow-endpoints in "
			"the configuration file",
			ep->origin);
	if (ps_addr_parse(ep->host, strlen(ep->host), &a) == 0)
		why = ps_reach_refusal(&a);
	for (size_t i = 0; i < PS_ARRAY_SIZE(services); i++) {
		if (strcmp(ep->host, services[i]) == 0)
			why = "a name under which a cloud serves machine credentials";
	}
	if (!why)
		return 0;
	return ps_error_set(err, -EPERM, 403, "not_allowed", FIELD,
		"%s is %s; if an LLM really is there, add it to allow-endpoints in the configuration file", ep->host,
		why);
}
