#include "gateway/access.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "common/base/cleanup.h"
#include "gateway/listen.h"

/* Is word[0…len) one of the comma-separated items? ASCII case is ignored. */
static bool in_list(const char *list, const char *word, size_t len)
{
	const char *p = list;

	while (*p) {
		size_t n;

		p += strspn(p, ", ");
		n = strcspn(p, ", ");
		if (n && n == len && !strncasecmp(p, word, n))
			return true;
		p += n;
	}
	return false;
}

/* "http://" or "https://" → what follows; NULL. */
static const char *after_scheme(const char *origin)
{
	if (!strncasecmp(origin, "http://", 7))
		return origin + 7;
	if (!strncasecmp(origin, "https://", 8))
		return origin + 8;
	return NULL;
}

static bool origin_form(const char *origin, size_t len)
{
	const char *host = after_scheme(origin);
	size_t at = host ? (size_t)(host - origin) : len;

	if (at >= len)
		return false;
	for (size_t i = at; i < len; i++) {
		if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_:[]", origin[i]))
			return false;
	}
	return true;
}

int ps_access_check_origins(const char *list, struct ps_error *err)
{
	for (const char *p = list; *p;) {
		size_t n;

		p += strspn(p, ", ");
		n = strcspn(p, ", ");
		if (n && !origin_form(p, n)) {
			return ps_error_set(err, -EINVAL, 400, "bad_value", "cors-origin",
				"\"%.*s\" is no origin; write http://host or https://host:port, without a path.",
				(int)PS_MIN(n, 64u), p);
		}
		p += n;
	}
	return 0;
}

/* Splits "name:port" or "[v6]:port" and returns the name without brackets and final dot. */
static bool split_host(const char *host, const char **ret_name, size_t *ret_len)
{
	const char *name = host, *rest;
	size_t len;

	if (host[0] == '[') {
		name = host + 1;
		len = strcspn(name, "]");
		if (!name[len])
			return false;
		rest = name + len + 1;
	} else {
		len = strcspn(name, ":");
		rest = name + len;
	}
	if (*rest && (*rest != ':' || strspn(rest + 1, "0123456789") != strlen(rest + 1)))
		return false;
	if (len && name[len - 1] == '.')
		len--;
	*ret_name = name;
	*ret_len = len;
	return len > 0;
}

bool ps_access_host_ok(const struct ps_access *policy, const char *host)
{
	struct ps_addr addr;
	const char *name;
	size_t len;

	if (!split_host(host, &name, &len))
		return false;
	if (ps_addr_parse(name, len, &addr) == 0)
		return true;
	if (len == 9 && !strncasecmp(name, "localhost", 9))
		return true;
	if (len == strlen(policy->hostname) && !strncasecmp(name, policy->hostname, len))
		return true;
	return in_list(policy->allow_host, name, len);
}

const char *ps_access_cors(const struct ps_access *policy, const struct ps_http_request *req)
{
	const char *origin = req->headers.origin;

	return origin && in_list(policy->cors_origin, origin, strlen(origin)) ? origin : NULL;
}

bool ps_access_is_local(const struct ps_http_request *req)
{
	return ps_addr_is_loopback(&req->peer) || (req->peer.family && ps_addr_equal(&req->peer, &req->local));
}

/* A browser's request that changes something: from our own page, or from a page that may? Without Origin it is no
 * browser's. */
static bool origin_ok(const struct ps_access *policy, const struct ps_http_request *req)
{
	const char *origin = req->headers.origin, *site = req->headers.sec_fetch_site, *host;

	if (req->method & PS_HTTP_SAFE || ps_access_cors(policy, req))
		return true;
	if (!origin)
		return !site || !strcmp(site, "same-origin") || !strcmp(site, "none");
	host = after_scheme(origin);
	return host && req->headers.host && !strcasecmp(host, req->headers.host);
}

int ps_access_check(const struct ps_access *policy, const struct ps_http_request *req, struct ps_error *err)
{
	if (req->headers.host && !ps_access_host_ok(policy, req->headers.host)) {
		return ps_error_set(err, -EACCES, 403, "bad_host", "",
			"The Host header names another machine; use an address, or start with --allow-host NAME for a "
			"name of this host.");
	}
	if (!origin_ok(policy, req)) {
		return ps_error_set(err, -EACCES, 403, "bad_origin", "",
			"A page of another site must not change anything here; name its origin with --cors-origin to "
			"allow it.");
	}
	return 0;
}

int ps_access_token(struct ps_access *policy, const struct ps_http_request *req, enum ps_scope scope, uint64_t now,
	struct ps_error *err)
{
	const char *given = req->headers.authorization;
	enum ps_scope allowed;

	if (scope == PS_SCOPE_OPEN || req->method == PS_HTTP_OPTIONS)
		return 0;
	if (!policy->tokens || (!policy->token_always && ps_access_is_local(req)))
		return 0;
	if (!given) {
		return ps_error_set(err, -EACCES, 401, "token_needed", "",
			"This request needs the API token: send \"Authorization: Bearer TOKEN\". "
			"The token stands in the file api-token of the state directory on the host.");
	}
	if (ps_failures_blocked(&policy->failures, &req->peer, now)) {
		return ps_error_set(err, -EACCES, 429, "too_many_failures", "",
			"Too many wrong API tokens came from this address; try again in a minute.");
	}
	allowed = strncasecmp(given, "Bearer ", 7) ? PS_SCOPE_OPEN
						   : ps_token_scope(policy->tokens, given + 7 + strspn(given + 7, " "));
	if (allowed == PS_SCOPE_OPEN) {
		ps_failures_add(&policy->failures, &req->peer, now);
		return ps_error_set(err, -EACCES, 401, "bad_token", "",
			"The API token is wrong; the right one stands in the file api-token of the state directory on "
			"the host.");
	}
	if (allowed < scope) {
		return ps_error_set(err, -EACCES, 403, "scope", "",
			"This API token may only read; changing anything needs one with the scope admin.");
	}
	return 0;
}
