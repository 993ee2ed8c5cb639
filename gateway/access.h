/*
 * Who may ask what: the checks that stand before every route. Pure: all it needs is in the request and the policy.
 *
 * 1. Host must be an IP literal, localhost, this machine's name or one that --allow-host gives. A page of a foreign
 * site that makes its own name point here (DNS rebinding) cannot give any of those.
 * 2. A request that changes something and comes from a browser must come from our own page or from a --cors-origin
 *    (Origin, Sec-Fetch-Site), for a form of a foreign page reaches 127.0.0.1 as well as we do.
 * 3. A request from elsewhere than this host carries the API token (RFC 6750, bearer), unless --insecure.
 */
#ifndef PS_ACCESS_H
#define PS_ACCESS_H

#include <stdbool.h>

#include "common/base/error.h"
#include "gateway/http.h"

struct ps_access {
	const char *hostname;    /* this machine's name; "" = unknown */
	const char *allow_host;  /* further names, separated by commas; "" = none */
	const char *cors_origin; /* origins whose pages may call, separated by commas; "" = none */
	const char *token;       /* the API token; NULL = nobody needs one */
	bool token_always;       /* from this host too */
};

/* "http://host" or "https://host:port", several separated by commas; not "*" or "null". -EINVAL fills err (field
 * "cors-origin"). */
int ps_access_check_origins(const char *list, struct ps_error *err);

/* Splits a Host header ("name", "name:port", "[v6]:port") and says whether that name may be ours. */
bool ps_access_host_ok(const struct ps_access *policy, const char *host);

/* The request's Origin if --cors-origin names it, else NULL: the value of Access-Control-Allow-Origin. */
const char *ps_access_cors(const struct ps_access *policy, const struct ps_http_request *req);

/* Did it come from this host (loopback, or from the very address it was sent to)? */
bool ps_access_is_local(const struct ps_http_request *req);

/*
 * 0, or -EACCES fills err: 401 "token_needed" or "bad_token", 403 "bad_host" or "bad_origin". `open`: the route needs
 * no token (the page itself, which asks for it).
 */
int ps_access_check(const struct ps_access *policy, const struct ps_http_request *req, bool open, struct ps_error *err);

#endif
