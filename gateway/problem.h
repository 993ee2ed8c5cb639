/*
 * Errors as people and programs read them: RFC 9457, application/problem+json.
 *
 *	{"type": "about:blank", "title": "Bad Request", "status": 400, "detail": "…", "code": "bad_value",
 *	 "field": "icmp_type"}
 *
 * `type` is about:blank, so `title` is HTTP's phrase (RFC 9457, 4.2.1); `code` tells kinds apart and is stable; `field`
 * is there when one member of the body or one parameter is to blame.
 */
#ifndef PS_PROBLEM_H
#define PS_PROBLEM_H

#include "common/base/error.h"
#include "common/model/value.h"
#include "gateway/http.h"

#define PS_PROBLEM_TYPE "application/problem+json"

/* The object and a newline. A status that is not 400…599 is shown as 500. Members of the map `more` (may be NULL)
 * follow (RFC 9457, 3.2), but for those that are there already. */
void ps_problem_write(struct ps_buf *out, const struct ps_error *err, const struct ps_value *more);

/* Replaces whatever the response holds, but for headers, which stay (Allow, CORS). */
void ps_problem_respond(struct ps_http_response *resp, const struct ps_error *err, const struct ps_value *more);

#endif
