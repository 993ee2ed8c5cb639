/*
 * An HTTP request and its response, without the library that carries them (RFC 9110). Handlers know these two structs
 * and nothing of sockets; server.c is the only file that knows both.
 */
#ifndef PS_HTTP_H
#define PS_HTTP_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/limits.h"
#include "common/model/addr.h"

/* Bits, so that a set of methods is a number. */
enum ps_http_method {
	PS_HTTP_GET = 1 << 0,
	PS_HTTP_HEAD = 1 << 1,
	PS_HTTP_POST = 1 << 2,
	PS_HTTP_PUT = 1 << 3,
	PS_HTTP_PATCH = 1 << 4,
	PS_HTTP_DELETE = 1 << 5,
	PS_HTTP_OPTIONS = 1 << 6,
};

/* Methods that only read (RFC 9110, 9.2.1). */
#define PS_HTTP_SAFE (PS_HTTP_GET | PS_HTTP_HEAD | PS_HTTP_OPTIONS)

/* The method of that name (case matters, as in HTTP); 0 = one that nobody here serves. */
unsigned ps_http_method_parse(const char *name);
/* "GET, HEAD, OPTIONS" for an Allow header. Returns buf. */
#define PS_HTTP_METHODS_TEXT 64
char *ps_http_methods_format(unsigned set, char buf[static PS_HTTP_METHODS_TEXT]);

/* "Not Found" for 404; "Error" for a status without a phrase of its own. */
const char *ps_http_phrase(int status);

/* Query parameters, decoded; names are unique. */
struct ps_query {
	char *text; /* owns every name and value */
	size_t n;
	struct {
		const char *name;
		const char *value;
	} item[PS_HTTP_QUERY_MAX];
};

/*
 * Reads "a=1&b=two%20words" (application/x-www-form-urlencoded; NULL = no query). -EINVAL fills err (400): broken
 * escape, NUL, a name given twice, too many parameters. -ENOMEM.
 */
int ps_query_parse(const char *raw, struct ps_query *ret_query, struct ps_error *err);
void ps_query_free(struct ps_query *q);
/* The value, or NULL when the name is not there. */
const char *ps_query_get(const struct ps_query *q, const char *name);

/* Decodes %XX in place; `plus`: '+' is a space. -EINVAL: broken escape or NUL; the text is then half decoded. */
int ps_percent_decode(char *text, bool plus);
/* Appends text with everything escaped but RFC 3986's unreserved characters. */
void ps_percent_encode(struct ps_buf *out, const char *text);

/* Header fields that somebody here reads; NULL = not sent. */
struct ps_http_headers {
	const char *host;
	const char *origin;
	const char *authorization;
	const char *content_type;
	const char *if_none_match;
	const char *sec_fetch_site;
	const char *last_event_id;
	const char *if_match;
	const char *accept;
	const char *accept_encoding;
	const char *cache_control;
};

struct ps_http_request {
	unsigned method; /* one of enum ps_http_method, 0 = unknown */
	char *path;      /* up to the '?', still escaped; owned */
	struct ps_query query;
	char *param;                    /* the {name} of the route's pattern, decoded; NULL = none; owned */
	struct ps_http_headers headers; /* live as long as the request */
	struct ps_buf body;
	struct ps_addr peer;  /* who asks; IPv4 also when it came over a dual-stack socket */
	struct ps_addr local; /* the address of ours it was sent to */
	uint16_t peer_port, local_port;
};

/* Splits a request target ("/api/connections?limit=5") into path and query. -EINVAL fills err (400); -ENOMEM. */
int ps_http_request_target(struct ps_http_request *req, const char *target, struct ps_error *err);
void ps_http_request_free(struct ps_http_request *req);

/*
 * A body that is made while it is sent, piece by piece: memory does not follow its length. `read` writes up to max
 * bytes and returns how many; 0 = nothing yet, the transport sleeps until exchange->wake; PS_STREAM_END; -errno: the
 * connection is cut, so that nobody takes a part for the whole. `close` is called once, in any case.
 */
#define PS_STREAM_END (-EXFULL)
struct ps_stream {
	ssize_t (*read)(void *arg, char *buf, size_t max); /* NULL = no stream */
	void (*close)(void *arg);
	void *arg;
	bool endless; /* a stream of events: it has no deadline, and a place of its own */
};

struct ps_http_response {
	int status;
	struct ps_buf body;
	struct ps_http_shared *shared; /* instead of everything else */
	const void *fixed;             /* instead of body: bytes that live as long as the program */
	size_t fixed_len;
	struct ps_stream stream; /* instead of body */
	size_t n_headers;
	struct {
		const char *name; /* a constant */
		char *value;      /* owned */
	} header[PS_HTTP_HEADERS_MAX];
	int error; /* sticky: a header did not fit or no memory */
};

/* One answer that several requests get. Whoever holds it lets it go with ps_http_shared_free. */
struct ps_http_shared {
	unsigned holders;
	struct ps_http_response answer; /* no stream */
	void *sent;                     /* what the transport made of it, and how it goes; NULL = nothing yet */
	void (*free_sent)(void *sent);
};
void ps_http_shared_free(struct ps_http_shared **shared);

/* Adds a header; values with control characters (response splitting) are refused as an error of ours. Sticky as ps_buf.
 */
void ps_http_response_header(struct ps_http_response *resp, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Gives `to`, which is empty, the answer of `from`, which keeps it and becomes shared. Without memory: to->error. */
void ps_http_response_share(struct ps_http_response *to, struct ps_http_response *from);
/* The value of a header that was added, or NULL. Case matters. Not of one that is shared. */
const char *ps_http_response_get(const struct ps_http_response *resp, const char *name);
/* Empties it for another answer. */
void ps_http_response_reset(struct ps_http_response *resp);
void ps_http_response_free(struct ps_http_response *resp);

#endif
