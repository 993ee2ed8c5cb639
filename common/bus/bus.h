/*
 * The bus: ZeroMQ sockets, three frames a message (topic, header, payload), sequence numbers a topic. Nothing outside
 * common/bus/ includes zmq.
 *
 * Every function must be called from the one thread that made its object.
 */
#ifndef PS_BUS_H
#define PS_BUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/codec/batch.h"
#include "common/model/value.h"

enum ps_topic {
#define PS_TOPIC(suffix, name, record, hold, doc) PS_TOPIC_##suffix,
#include "common/bus/topic.def"
	PS_TOPICS,
};

const char *ps_topic_name(enum ps_topic t);
enum ps_record_type ps_topic_record(enum ps_topic t);
uint64_t ps_topic_hold(enum ps_topic t); /* ns that a record of it waits for others at most */
/* The topic of exactly that name; -EINVAL. */
int ps_topic_parse(const char *name, size_t len, enum ps_topic *ret_topic);

/* Where the sockets are. ipc:// under the run directory unless said otherwise. */
struct ps_endpoints {
	char events[128];   /* collector's PUB for taps */
	char feed[128];     /* collector's PUB for the aggregator: reports what it refuses, so loss is known */
	char state[128];    /* aggregator's PUB */
	char control[128];  /* aggregator's ROUTER */
	char ai[128];       /* AI worker's ROUTER */
	char findings[128]; /* AI worker's PUB */
};

/* run_dir "/run/packetscope" → ipc:///run/packetscope/events.sock and so on. -ENAMETOOLONG. */
int ps_endpoints_default(const char *run_dir, struct ps_endpoints *ret_ep);

/* One context a program. */
struct ps_bus;
int ps_bus_new(struct ps_bus **ret_bus);
void ps_bus_free(struct ps_bus **bus); /* after all sockets */

/* --- tcp endpoints: CURVE (RFC 26) -------------------------------------------------------------- */

/*
 * Makes a pair of keys in two files: PATH.key (public) and PATH.key_secret (mode 0600), in the form of czmq and pyzmq.
 * Never replaces a file.
 */
int ps_curve_keygen(const char *path, struct ps_error *err);

/*
 * From now on every tcp endpoint that is bound speaks CURVE with the secret key of that file, and lets in only the
 * clients whose public keys are in `allow`: a directory of *.key files, or one file with such lines. It is read at each
 * handshake. Without this a tcp bind that other hosts can reach is refused, unless ps_bus_allow_plain was called.
 */
int ps_bus_serve_curve(struct ps_bus *bus, const char *key_file, const char *allow, struct ps_error *err);
void ps_bus_allow_plain(struct ps_bus *bus);
/* Both, as a program's options say: insecure; key_file "" = no keys. */
int ps_bus_secure(struct ps_bus *bus, const char *key_file, const char *allow, bool insecure, struct ps_error *err);
/* Clients that were not let in. */
uint64_t ps_bus_strangers(const struct ps_bus *bus);

/* From now on connects to tcp endpoints are made with these keys: our own secret file, the server's public one. */
int ps_bus_join_curve(struct ps_bus *bus, const char *key_file, const char *server_key_file, struct ps_error *err);

/* --- publishing --------------------------------------------------------------------------------- */

struct ps_publisher;

/*
 * Binds a PUB socket. Batches records by topic and sends a batch when it holds PS_BUS_RECORDS_MAX or is as old
 * as its topic lets it become (ps_topic_hold). `reliable`: for one subscriber that must know its loss (the feed): a message that
 * it would not take is not dropped silently but counted in `refused`; the publisher never waits. An ipc path is made
 * with mode 0660; a stale socket file is replaced. err says what a failed bind means. `epoch` is drawn from the wall
 * clock.
 */
int ps_publisher_new(
	struct ps_bus *bus, const char *endpoint, bool reliable, struct ps_publisher **ret_pub, struct ps_error *err);
/* Binds further endpoints, tcp://address:port, separated by commas. */
int ps_publisher_bind(struct ps_publisher *pub, const char *endpoints, struct ps_error *err);
void ps_publisher_free(struct ps_publisher **pub); /* flushes */

/*
 * Makes `other` the twin of `pub`, before either has sent anything: every batch of records and every mark that `pub`
 * sends, or is refused, `other` sends too, under its own header and from the same memory; and both have one epoch, so
 * that a sequence number means the same on both. Records are given to `pub` alone, and only it is asked to mark; maps
 * and `lost` go to each. `other` outlives `pub`. -ENOMEM.
 */
int ps_publisher_twin(struct ps_publisher *pub, struct ps_publisher *other);

/*
 * Queues one record of the topic's type; sends when the batch is full. now: boot time, ns. Before a batch go the
 * waiting ones of the same record type whose topics come earlier in topic.def, so that no connection's end overtakes
 * its beginning. A refused message is no error; a record that cannot be queued (-ENOMEM) is counted in `refused` too.
 */
int ps_publisher_record(struct ps_publisher *pub, enum ps_topic topic, const void *record, uint64_t now);
/* Sends one map (topics without record type) at once: the payload is the map itself, n is 1, and the header has no
 * `fields`. */
int ps_publisher_map(struct ps_publisher *pub, enum ps_topic topic, const struct ps_value *map);
/*
 * Sends every batch older than it may be (or all, with force). Returns ns until the next is due, UINT64_MAX if
 * none waits. It also takes and throws away what peers send upstream, their subscriptions among it, which libzmq keeps
 * until then: who sends nothing but maps calls this once a second too.
 */
uint64_t ps_publisher_flush(struct ps_publisher *pub, uint64_t now, bool force);
/* Losses before the bus that the header's `lost` shall tell (ring buffer), per topic, absolute. */
void ps_publisher_set_lost(struct ps_publisher *pub, enum ps_topic topic, uint64_t lost);

/*
 * Counts a topic's records in someone else's memory from now on, and goes on from what it holds: both are stored whole,
 * `published` before a message is sent and `refused` after, so that the sums are right however the process ends. For a
 * ledger that outlives it.
 */
void ps_publisher_count_in(
	struct ps_publisher *pub, enum ps_topic topic, unsigned long long *published, unsigned long long *refused);
/*
 * For each of `topics` (bits; record topics) that has been silent since the last call: an empty message, n = 0, that
 * tells how far the topic has come, so that whoever lost its last message learns of it. Call it once a second: it goes
 * out when the topic has fallen silent, when somebody has subscribed to it or its `lost` has changed since, and again
 * and again, with each PS_BUS_MARK_EVERY-th call, while it stays so.
 */
void ps_publisher_mark(struct ps_publisher *pub, uint32_t topics);

/* True when a subscriber has called (ps_subscriber_call) since the last time. See ps_loop_add_publisher. */
bool ps_publisher_called(struct ps_publisher *pub);

struct ps_publisher_totals {
	uint64_t published[PS_TOPICS]; /* records offered to the socket */
	uint64_t refused[PS_TOPICS];   /* of those, what a reliable socket would not take */
	uint64_t seq[PS_TOPICS];       /* last sequence number given */
	uint64_t epoch;
};
void ps_publisher_totals(const struct ps_publisher *pub, struct ps_publisher_totals *ret_totals);

/* --- subscribing -------------------------------------------------------------------------------- */

struct ps_subscriber;

struct ps_message {
	enum ps_topic topic;
	uint64_t epoch, seq, ts, lost;
	uint64_t before;         /* records of this topic that the socket took before this message; 0 if nobody says */
	uint32_t n;              /* records; 0 = only to say how far the topic has come */
	struct ps_value *header; /* as it came, `fields` among it; owned by the message */
	const uint8_t *payload;  /* owned by the message */
	size_t payload_len;
	uint64_t missed; /* messages of this topic that were lost just before this one, by seq; after a new epoch 0 */
	bool restarted;  /* first message, or the publisher's epoch has changed: what was known may be stale */
	void *impl;
};

/* Connects a SUB socket; it reconnects by itself. Subscribes to `topics` (bits 1 << enum ps_topic). */
int ps_subscriber_new(struct ps_bus *bus, const char *endpoint, uint32_t topics, struct ps_subscriber **ret_sub,
	struct ps_error *err);
void ps_subscriber_free(struct ps_subscriber **sub);

/*
 * Takes one message without waiting. 1 = got one, 0 = nothing there, -EBADMSG = a message that breaks the format was
 * thrown away and counted. ps_message_free when done.
 */
int ps_subscriber_next(struct ps_subscriber *sub, struct ps_message *ret_msg);
void ps_message_free(struct ps_message *msg); /* fits _cleanup_ */
uint64_t ps_subscriber_malformed(const struct ps_subscriber *sub);

/*
 * Makes the publisher look up: ps_publisher_called says so there. It carries nothing but that, on the connection that
 * is there; one that is made later carries it again. -errno.
 */
int ps_subscriber_call(struct ps_subscriber *sub);

/* --- request and reply -------------------------------------------------------------------------- */

struct ps_responder;
struct ps_requester;

/*
 * On the wire a request is [header, args] behind the identity frame, header {v, id, op, peer, deadline}; a reply is
 * [header, body] or [header, body, payload], header {v, id, status} and with status >= 400 `error` {code, field,
 * message} (the body may then hold details). The payload, if any, is a batch whose columns body.fields names.
 */
struct ps_request {
	uint8_t identity[64];
	size_t identity_len;
	uint64_t id;
	char op[48];
	char peer[64];         /* who asks, as the requester says: an address, "cli", "local" */
	struct ps_value *args; /* a map; owned by the request */
};

/* endpoint "": none yet; ps_responder_bind names them. */
int ps_responder_new(struct ps_bus *bus, const char *endpoint, struct ps_responder **ret_resp, struct ps_error *err);
/* Binds further endpoints, as ps_publisher_bind. */
int ps_responder_bind(struct ps_responder *resp, const char *endpoints, struct ps_error *err);
void ps_responder_free(struct ps_responder **resp);
/*
 * 1, 0 or -EBADMSG as ps_subscriber_next. -ETIMEDOUT = a request past its deadline (wall clock, ns since 1970; a header
 * without one has all the time) was thrown away and counted: whoever asked has given it up and must not find later that
 * it took effect.
 */
int ps_responder_next(struct ps_responder *resp, struct ps_request *ret_req);
void ps_request_free(struct ps_request *req);
uint64_t ps_responder_malformed(const struct ps_responder *resp);
uint64_t ps_responder_late(const struct ps_responder *resp);
/*
 * status < 400: body (may be NULL) and payload (may be NULL); else err, and body (may be NULL), a map of whatever else
 * there is to say. A requester that has gone is no error. -E2BIG:
 * more than PS_VALUE_BYTES_MAX or PS_BUS_MESSAGE_MAX; the requester gets status 500, "too_large".
 */
int ps_responder_reply(struct ps_responder *resp, const struct ps_request *req, int status, const struct ps_value *body,
	const uint8_t *payload, size_t payload_len, const struct ps_error *err);

struct ps_reply {
	uint64_t id;
	int status;
	struct ps_error error; /* when status >= 400 */
	struct ps_value *body; /* owned by the reply; may be NULL */
	uint8_t *payload;      /* owned by the reply; may be NULL */
	size_t payload_len;
};

/* Connects a DEALER socket; it reconnects by itself. */
int ps_requester_new(struct ps_bus *bus, const char *endpoint, struct ps_requester **ret_rq, struct ps_error *err);
void ps_requester_free(struct ps_requester **rq);
/*
 * Sends; the reply comes through ps_requester_next under the same id. args may be NULL (empty map). -EAGAIN: nobody is
 * connected (yet) or too many wait; nothing is kept for a part that is down. timeout_ms: the other end throws the
 * request away when it reads it later than that; 0 = never.
 */
int ps_requester_send(struct ps_requester *rq, const char *op, const char *peer, const struct ps_value *args,
	int timeout_ms, uint64_t *ret_id);
/* 1, 0 or -EBADMSG. */
int ps_requester_next(struct ps_requester *rq, struct ps_reply *ret_reply);
void ps_reply_free(struct ps_reply *reply);
/* Sends and waits for that reply. -ETIMEDOUT fills err (503, "no_answer"). Replies to older requests are thrown away.
 */
int ps_requester_call(struct ps_requester *rq, const char *op, const char *peer, const struct ps_value *args,
	int timeout_ms, struct ps_reply *ret_reply, struct ps_error *err);

/* --- waiting, for whoever has no loop.h --------------------------------------------------------------- */

/* Until one of them has something to take: 1, 0 = time is over (-1: never), -EINTR, -errno. rq may be NULL. */
int ps_bus_wait(struct ps_subscriber *const *subs, size_t n_subs, struct ps_requester *rq, long timeout_ms);

/* For poll(2). Edge-triggered as libzmq's are: when it becomes readable, take all there is. */
int ps_subscriber_fd(struct ps_subscriber *sub);
int ps_requester_fd(struct ps_requester *rq);

#endif
