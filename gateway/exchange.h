/*
 * One request on its way through the gateway: what was asked, what will be answered, and how the answer gets back. A
 * handler either answers at once or sends a request to another part and answers when the reply is there; in both cases
 * it ends in exactly one of the ps_answer_ functions.
 */
#ifndef PS_EXCHANGE_H
#define PS_EXCHANGE_H

#include "common/model/value.h"
#include "gateway/access.h"
#include "gateway/forward.h"
#include "gateway/http.h"

struct ps_events;
struct ps_route;
struct ps_share;
struct ps_upload;

/* What every request shares. No state: the parts have it. */
struct ps_gateway {
	struct ps_forward *forward; /* NULL = the gateway is being stopped */
	struct ps_access access;
	const char *collector; /* endpoint that the collector listens on: all that shows whether it is there */
	struct ps_events *events;
	uint64_t started; /* boot time, ns */
	/* What /metrics tells of us. */
	struct {
		uint64_t responses[6]; /* by the first digit of the status */
		uint64_t expired, evicted;
		size_t connections; /* open, event streams among them */
	} totals;
	struct ps_share *shares; /* questions that are being asked (share.h) */
	uint64_t changes;        /* requests answered that may have changed something */
	unsigned large_lists;    /* lists of more than one page that are being put together */
};

struct ps_exchange {
	struct ps_gateway *gateway;
	const struct ps_route *route; /* set by ps_gateway_open */
	struct ps_http_request req;
	struct ps_http_response resp;
	size_t body_left;         /* bytes that the body may still have */
	struct ps_upload *upload; /* takes the body apart as it comes; NULL = it is kept in req.body; owned */
	struct ps_value *args;    /* the query, as the route's parameters say; for the handler to add to; owned */
	uint64_t now;             /* boot time, ns, when the transport last took it up: not later than it is */
	char peer[PS_ADDR_TEXT];  /* req.peer as text: what the other parts are told */
	/* Given by the transport: the response is complete. The exchange may be gone when it returns. */
	void (*done)(struct ps_exchange *x);
	/* Given by the transport, for an answer that is a stream: there is something to read; end it now. */
	void (*wake)(struct ps_exchange *x);
	void (*cut)(struct ps_exchange *x);
	void (*extend)(struct ps_exchange *x); /* the answer's deadline begins anew */
	bool answered;
	/* share.h; NULL: it asks for itself */
	struct ps_share *share;
	struct ps_exchange *share_next;
};

void ps_exchange_free(struct ps_exchange *x); /* what it holds, not itself */

/*
 * First step, when request line and headers are there: who asks (ps_access_check), what for (route), and is the
 * announced body of `length` bytes (0 = none or unknown) small enough? 0, or -errno with the refusal in x->resp.
 */
int ps_gateway_open(struct ps_exchange *x, uint64_t length);
/*
 * Between them, for each piece of the body. Afterwards x may be answered, whatever else comes. 1 = no more of it for
 * now: x->wake says when.
 */
int ps_gateway_take(struct ps_exchange *x, const char *data, size_t len);
/* Second step, when the whole body is there. */
void ps_gateway_run(struct ps_exchange *x);

/* --- answers ------------------------------------------------------------------------------------ */

void ps_answer_problem(struct ps_exchange *x, const struct ps_error *err);
/* A refusal of another part: what the body of its reply (may be NULL) has becomes members of the problem. */
void ps_answer_refusal(struct ps_exchange *x, const struct ps_error *err, const struct ps_reply *reply);
/* The tree as JSON and a newline; v NULL counts as no memory. */
void ps_answer_value(struct ps_exchange *x, int status, const struct ps_value *v);
/* What x->resp.body holds, as JSON; a newline is added. */
void ps_answer_json(struct ps_exchange *x, int status);
/* What x->resp.body holds, as it is. */
void ps_answer_body(struct ps_exchange *x, int status, const char *content_type);
/* No body. */
void ps_answer_empty(struct ps_exchange *x, int status);
/* Bytes that live as long as the program. */
void ps_answer_fixed(struct ps_exchange *x, const char *content_type, const void *data, size_t len);

/* What x->resp.stream makes, as long as it lasts. */
void ps_answer_stream(struct ps_exchange *x, const char *content_type);

/* Fills a refusal without ending the exchange: for ps_gateway_open and the transport. */
void ps_refuse(struct ps_exchange *x, const struct ps_error *err);

/* Passes a request on to a part, with the route's time limit. fn is called exactly once, with the error at once when it
 * cannot be sent. */
void ps_exchange_forward(struct ps_exchange *x, enum ps_part part, const char *op, const struct ps_value *args,
	ps_forward_fn fn, void *arg);

/*
 * The body as JSON of this kind (map or list). Content-Type is not asked: whatever parses is taken (curl -d sends a
 * form's type); what changes something is protected from foreign pages by Origin. `optional`: an empty body is an empty
 * object. -EINVAL fills err (400).
 */
int ps_exchange_body(const struct ps_exchange *x, enum ps_value_kind kind, bool optional, struct ps_value **ret_body,
	struct ps_error *err);
/* Adds the members of the body, a JSON object or nothing, to x->args. */
int ps_exchange_body_args(struct ps_exchange *x, struct ps_error *err);

/* Adds `caller` to x->args: the TCP connection that the request came over, so that a rule that would cut it off can be
 * refused. -ENOMEM. */
int ps_exchange_caller(struct ps_exchange *x);

/* The number in the path ("/api/filters/7"), 0…INT32_MAX. -EINVAL fills err (400, field "id"). */
int ps_exchange_id(const struct ps_exchange *x, int64_t *ret_id, struct ps_error *err);

#endif
