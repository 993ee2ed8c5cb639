/*
 * The gateway's REST interface, as the verbs use it: a call, its JSON, its problem (RFC 9457) as an error.
 */
#ifndef PS_API_H
#define PS_API_H

#include "cli/fetch.h"
#include "cli/settings.h"
#include "common/base/error.h"
#include "common/model/value.h"

/*
 * A client for the gateway that the settings name, with the API token of --token-file. Without that option the token
 * that the gateway of this host made is used, if this user may read it and the gateway is on this host. -errno fills
 * err.
 */
int ps_api_open(const struct ps_settings *s, struct ps_fetch **ret_client, struct ps_error *err);

/*
 * One call. A status of 400 or more is -EPROTO and fills err with the problem's field, detail and status. ret_reply may
 * be NULL; otherwise the caller frees it.
 */
int ps_api_call(struct ps_fetch *client, const char *method, const char *path, const char *body,
	struct ps_fetch_reply *ret_reply, struct ps_error *err);

/* GET, parsed. */
int ps_api_get(struct ps_fetch *client, const char *path, struct ps_value **ret_value, struct ps_error *err);

/* Makes err from an error answer: application/problem+json, or whatever it is. Pure. */
void ps_api_problem(int status, const char *body, size_t len, struct ps_error *err);

/*
 * Up to `limit` elements of a list that comes in pages: `path` without limit and cursor. *ret_text is one JSON array,
 * the caller's to free; *ret_total is X-Total-Count.
 */
int ps_api_list(struct ps_fetch *client, const char *path, uint64_t limit, struct ps_buf *ret_text, uint64_t *ret_total,
	struct ps_error *err);

#endif
