/*
 * The command line's HTTP client. The only file of the command line that includes libcurl.
 *
 * One object serves one thread at a time and keeps its connection between calls.
 */
#ifndef PS_FETCH_H
#define PS_FETCH_H

#include <stdatomic.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"

struct ps_fetch;

struct ps_fetch_reply {
	int status;
	struct ps_buf body;    /* owned by the reply; at most PS_CLI_REPLY_MAX */
	uint64_t total;        /* X-Total-Count; 0 without it */
	char next_cursor[512]; /* "cursor" in the Link with rel="next", still encoded; "" = none */
};

/*
 * `address` is what --api takes: a listen address (":8080", "0.0.0.0:8080", "8080", "[::]:8080": then the loopback
 * address is asked) or a URL ("http://host:8080"). -EINVAL fills err.
 */
int ps_fetch_new(const char *address, struct ps_fetch **ret_client, struct ps_error *err);
void ps_fetch_free(struct ps_fetch **client);

/* "http://127.0.0.1:8080" */
const char *ps_fetch_base(const struct ps_fetch *client);

/* Turns an --api value into that base URL. -EINVAL, -ENAMETOOLONG. */
#define PS_FETCH_BASE_SIZE 256
int ps_fetch_address(const char *address, char ret_base[static PS_FETCH_BASE_SIZE]);

/* Gives calls this long; they also end (-ECANCELED) when *cancel becomes non-zero (NULL = never), which may be set from
 * another thread. */
void ps_fetch_limit(struct ps_fetch *client, long timeout_ms, const atomic_int *cancel);

/*
 * The gateway at a listen address speaks HTTPS, with this certificate (PEM; the path must outlive the client) or one
 * that it signed. It may be in any name: what is asked is this host's own address. A URL stays as it is.
 */
void ps_fetch_secure(struct ps_fetch *client, const char *cert_path);

/* Goes through this Unix socket, whatever the address says (the path must outlive the client). */
void ps_fetch_socket(struct ps_fetch *client, const char *path);

/* Sends this API token with every call from now on (RFC 6750). -EINVAL: it is none. */
int ps_fetch_token(struct ps_fetch *client, const char *token);

/*
 * One request; `path` begins with '/', `body` (JSON) may be NULL. 0 whatever the status is. Errors fill err: the
 * gateway is not there (-ECONNREFUSED, 503 "unreachable"), -ETIMEDOUT, -ECANCELED, -E2BIG, -EIO.
 */
int ps_fetch_call(struct ps_fetch *client, const char *method, const char *path, const char *body,
	struct ps_fetch_reply *ret_reply, struct ps_error *err);
/* The same with a body of another type than JSON, "text/plain" for instance; it may hold any bytes. */
int ps_fetch_send(struct ps_fetch *client, const char *method, const char *path, const char *type, const void *body,
	size_t len, struct ps_fetch_reply *ret_reply, struct ps_error *err);
void ps_fetch_reply_free(struct ps_fetch_reply *reply); /* fits _cleanup_ */

/* Appends text as a value of a query, percent-encoded. */
void ps_fetch_escape(struct ps_buf *out, const char *text);

#endif
