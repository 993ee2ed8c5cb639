/*
 * HTTP POST without waiting: libcurl's multi interface in the event loop. The only file of the AI worker that includes
 * libcurl.
 *
 * It follows no redirect, verifies certificates against the system's store, uses the proxy that the environment names
 * (http_proxy, https_proxy, all_proxy, no_proxy), takes at most PS_AI_ANSWER_BYTES, and connects to no address that
 * ps_reach_refusal names unless it is told so.
 */
#ifndef PS_AI_TRANSPORT_H
#define PS_AI_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/secret.h"
#include "common/bus/loop.h"

/* How a call went. */
enum ps_http_outcome {
	PS_HTTP_ANSWERED,    /* with whatever status */
	PS_HTTP_NO_HOST,     /* the name has no address */
	PS_HTTP_NO_CONNECT,  /* nobody listens, or no way there */
	PS_HTTP_NOT_ALLOWED, /* its address must not be reached */
	PS_HTTP_NO_TRUST,    /* TLS: the certificate, or no common version */
	PS_HTTP_TIMED_OUT,
	PS_HTTP_TOO_LARGE,
	PS_HTTP_CUT, /* the connection ended in the middle */
	PS_HTTP_FAILED,
};

struct ps_http_answer {
	enum ps_http_outcome outcome;
	int status;
	char content_type[80];
	char location[160];   /* of a redirect */
	char retry_after[64]; /* the header as it came */
	char detail[160];     /* for a person; of an outcome other than ANSWERED */
	struct ps_buf body;
};

struct ps_http_post {
	const char *url;
	const struct ps_secret *key; /* NULL = none */
	bool azure;                  /* the key goes into api-key, not into Authorization */
	const struct ps_buf *body;   /* copied */
	uint64_t timeout;            /* ns, for all of it */
	bool reach_all;              /* also link-local addresses */
};

struct ps_transport;
struct ps_transport_call;

/* `ca_file`: certificates to trust instead of the system's; "" = the system's. -ENOMEM. */
int ps_transport_new(struct ps_loop *loop, const char *ca_file, struct ps_transport **ret_transport);
/* Calls that are under way end without their callback. */
void ps_transport_free(struct ps_transport **transport);

/* The answer is the callee's to look at and to take the body out of. Called from the loop, exactly once a call. */
typedef void (*ps_transport_fn)(void *arg, struct ps_http_answer *answer);

/* Begins. -ENOMEM: fn is not called. */
int ps_transport_post(struct ps_transport *t, const struct ps_http_post *post, ps_transport_fn fn, void *arg,
	struct ps_transport_call **ret_call);
/* Gives it up: fn is not called. *call becomes NULL. */
void ps_transport_cancel(struct ps_transport *t, struct ps_transport_call **call);

#endif
