/*
 * Who may ask what: the checks that stand before every route. Pure: all it needs is in the request and the policy.
 *
 * 1. Host must be an IP literal, localhost, this machine's name or one that --allow-host gives. A page of a foreign
 * site that makes its own name point here (DNS rebinding) cannot give any of those.
 * 2. A request that changes something and comes from a browser must come from our own page or from a --cors-origin
 *    (Origin, Sec-Fetch-Site), for a form of a foreign page reaches 127.0.0.1 as well as we do.
 * 3. A request from elsewhere than this host carries an API token (RFC 6750, bearer) that allows it, unless --insecure.
 *    Who gives wrong ones too often must wait (failures.h).
 */
#ifndef PS_ACCESS_H
#define PS_ACCESS_H

#include <stdbool.h>

#include "common/base/error.h"
#include "gateway/failures.h"
#include "gateway/http.h"
#include "gateway/token.h"

struct ps_access {
	const char *hostname;           /* this machine's name; "" = unknown */
	const char *allow_host;         /* further names, separated by commas; "" = none */
	const char *cors_origin;        /* origins whose pages may call, separated by commas; "" = none */
	const struct ps_tokens *tokens; /* NULL = nobody needs one */
	bool token_always;              /* from this host too */
	struct ps_failures failures;    /* wrong tokens of late */
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

/* Host and Origin. 0, or -EACCES fills err: 403 "bad_host" or "bad_origin". */
int ps_access_check(const struct ps_access *policy, const struct ps_http_request *req, struct ps_error *err);

/*
 * The token. `scope` is what the route needs; `now` is boot time, ns. 0, or -EACCES fills err: 401 "token_needed" or
 * "bad_token", 403 "scope" (the token allows less), 429 "too_many_failures". OPTIONS needs none: a browser asks it
 * before it may send the token.
 */
int ps_access_token(struct ps_access *policy, const struct ps_http_request *req, enum ps_scope scope, uint64_t now,
	struct ps_error *err);

#endif
