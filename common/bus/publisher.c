#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/bus/bus.h"
#include "common/bus/header.h"
#include "common/bus/socket.h"
#include "common/codec/msgpack.h"

/* What one topic has going. */
struct lane {
	struct ps_batch batch;  /* record topics only */
	uint64_t since;         /* boot time of the batch's first record */
	struct ps_buf header;   /* the constant part, then the variable part of the last message */
	size_t header_constant; /* bytes */
	uint64_t seq;           /* last one given */
	uint64_t lost;
	unsigned long long own_published, own_refused; /* records */
	unsigned long long *published, *refused;       /* these, or someone else's memory */
	uint64_t marked;                               /* seq when ps_publisher_mark last looked */
	unsigned quiet;                                /* looks since then that have found nothing new */
	bool news; /* what a mark is to tell at once: how far it has come, to a new subscriber; another `lost` */
};

struct ps_publisher {
	struct ps_socket socket;
	bool reliable;
	uint64_t epoch;
	struct lane lanes[PS_TOPICS];
	struct ps_buf map;         /* memory for the payload of map topics */
	struct ps_publisher *twin; /* gets every batch as well; NULL = none */
	bool called;               /* by a subscriber */
};

static int open_socket(struct ps_publisher *pub, struct ps_bus *bus, const char *endpoint, struct ps_error *err)
{
	const struct ps_socket_options options = {
		/* Not PUB: that would keep for ever what a peer sends upstream instead of subscriptions. */
		.type = ZMQ_XPUB,
		.hwm = PS_BUS_HWM,
		.frame_max = PS_BUS_SUBSCRIPTION_MAX,
		.linger_ms = PS_BUS_LINGER_MS,
	};
	int r = ps_socket_open(bus, &options, &pub->socket, err);
	if (r < 0)
		return r;
	const int on = 1;
	/* Each subscription is to be heard of, not only the first to a topic: see hear(). */
	if (zmq_setsockopt(pub->socket.handle, ZMQ_XPUB_VERBOSE, &on, sizeof(on)) != 0 ||
		(pub->reliable && zmq_setsockopt(pub->socket.handle, ZMQ_XPUB_NODROP, &on, sizeof(on)) != 0))
		return ps_error_set(err, -errno, 503, "bus", "", "Cannot set up %s: %s", endpoint, zmq_strerror(errno));
	return ps_socket_bind(&pub->socket, endpoint, err);
}

/* The part of each header that stays the same. */
static int begin_headers(struct ps_publisher *pub)
{
	char host[HOST_NAME_MAX + 1] = "";

	(void)gethostname(host, sizeof(host) - 1);
	for (int t = 0; t < PS_TOPICS; t++) {
		struct lane *lane = &pub->lanes[t];
		ps_buf_reset(&lane->header);
		ps_header_begin(&lane->header, (enum ps_topic)t, host, pub->epoch);
		lane->header_constant = lane->header.len;
		if (lane->header.error)
			return lane->header.error;
	}
	return 0;
}

int ps_publisher_new(
	struct ps_bus *bus, const char *endpoint, bool reliable, struct ps_publisher **ret_pub, struct ps_error *err)
{
	_cleanup_(ps_publisher_free) struct ps_publisher *pub = calloc(1, sizeof(*pub));
	if (!pub)
		return ps_error_set(err, -ENOMEM, 500, "no_memory", "", "No memory for a publisher");
	pub->reliable = reliable;
	pub->epoch = ps_clock_wall();
	pub->map.limit = PS_BUS_MESSAGE_MAX;

	for (int t = 0; t < PS_TOPICS; t++) {
		enum ps_record_type type = ps_topic_record((enum ps_topic)t);
		if (type != PS_RECORD_TYPES)
			ps_batch_init(&pub->lanes[t].batch, type);
		pub->lanes[t].header.limit = PS_BUS_HEADER_MAX;
		pub->lanes[t].published = &pub->lanes[t].own_published;
		pub->lanes[t].refused = &pub->lanes[t].own_refused;
	}
	int r = begin_headers(pub);
	if (r < 0)
		return ps_error_set(err, r, 500, "no_memory", "", "No memory for a publisher");
	r = open_socket(pub, bus, endpoint, err);
	if (r < 0)
		return r;
	*ret_pub = PS_TAKE(pub);
	return 0;
}

int ps_publisher_bind(struct ps_publisher *pub, const char *endpoints, struct ps_error *err)
{
	return ps_socket_bind_more(&pub->socket, endpoints, err);
}

int ps_publisher_twin(struct ps_publisher *pub, struct ps_publisher *other)
{
	pub->epoch = other->epoch;
	pub->twin = other;
	return begin_headers(pub);
}

void ps_publisher_count_in(
	struct ps_publisher *pub, enum ps_topic topic, unsigned long long *published, unsigned long long *refused)
{
	pub->lanes[topic].published = published;
	pub->lanes[topic].refused = refused;
}

/* Others map the same page: each counter is stored whole, and none before those of the line above. */
static void count(unsigned long long *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELEASE);
}

void ps_publisher_free(struct ps_publisher **pub)
{
	struct ps_publisher *p = *pub;
	if (!p)
		return;
	if (p->socket.handle)
		(void)ps_publisher_flush(p, 0, true);
	ps_socket_close(&p->socket);
	for (int t = 0; t < PS_TOPICS; t++) {
		if (ps_topic_record((enum ps_topic)t) != PS_RECORD_TYPES)
			ps_batch_free(&p->lanes[t].batch);
		ps_buf_free(&p->lanes[t].header);
	}
	ps_buf_free(&p->map);
	free(p);
	*pub = NULL;
}

static void count_refused(struct ps_publisher *pub, enum ps_topic topic, uint64_t n)
{
	count(pub->lanes[topic].published, n);
	count(pub->lanes[topic].refused, n);
}

/*
 * A refused message keeps its sequence number, so that the gap tells its subscriber. Not taken by a full queue is
 * counted, not an error: the publisher goes on. The body is sent by reference.
 */
static int send_body(struct ps_publisher *pub, enum ps_topic topic, zmq_msg_t *body, uint32_t n)
{
	struct lane *lane = &pub->lanes[topic];
	lane->header.len = lane->header_constant;
	ps_header_end(&lane->header, ++lane->seq, ps_clock_wall(), n, lane->lost, *lane->published - *lane->refused);

	const char *name = ps_topic_name(topic);
	const struct ps_frame frames[] = {
		{name, strlen(name)},
		{lane->header.data, lane->header.len},
	};
	int r = lane->header.error;
	count(lane->published, n);
	if (r == 0 && zmq_msg_size(body) > PS_BUS_MESSAGE_MAX)
		r = -E2BIG;
	if (r == 0)
		r = ps_socket_send_body(&pub->socket, frames, PS_ARRAY_SIZE(frames), body);
	if (r < 0)
		count(lane->refused, n);
	if (lane->header.error)
		ps_buf_reset(&lane->header); /* the constant part's bytes are still there */
	return r == -EAGAIN ? 0 : r;
}

/* twin: NULL, or who sends the same, whatever becomes of ours. */
static int send_message(struct ps_publisher *pub, struct ps_publisher *twin, enum ps_topic topic,
	const uint8_t *payload, size_t len, uint32_t n)
{
	zmq_msg_t body;

	if (zmq_msg_init_size(&body, len) != 0) {
		pub->lanes[topic].seq++;
		count_refused(pub, topic, n);
		if (twin) {
			twin->lanes[topic].seq++;
			count_refused(twin, topic, n);
		}
		return -ENOMEM;
	}
	memcpy(zmq_msg_data(&body), payload, len);
	int r = send_body(pub, topic, &body, n);
	if (twin)
		(void)send_body(twin, topic, &body, n);
	(void)zmq_msg_close(&body);
	return r;
}

static int send_batch(struct ps_publisher *pub, enum ps_topic topic)
{
	struct ps_batch *batch = &pub->lanes[topic].batch;
	const uint8_t *payload = NULL;
	size_t len = 0;
	ps_batch_payload(batch, &payload, &len);
	int r = send_message(pub, pub->twin, topic, payload, len, batch->n);
	ps_batch_reset(batch);
	return r;
}

static bool waits(const struct ps_publisher *pub, enum ps_topic topic)
{
	return ps_topic_record(topic) != PS_RECORD_TYPES && pub->lanes[topic].batch.n > 0;
}

/*
 * Sends a topic's batch, and before it those of the same record type that come earlier in the table: nobody shall hear
 * of a connection's end before its beginning.
 */
static int send_in_order(struct ps_publisher *pub, enum ps_topic topic)
{
	int ret = 0;
	for (int t = 0; t <= (int)topic; t++) {
		if (!waits(pub, (enum ps_topic)t) || ps_topic_record((enum ps_topic)t) != ps_topic_record(topic))
			continue;
		int r = send_batch(pub, (enum ps_topic)t);
		if (r < 0)
			ret = r;
	}
	return ret;
}

/* A subscription is a one and the beginning of topics; anything else says nothing to us. */
static void hear_one(struct ps_publisher *pub, struct ps_frames *frames)
{
	static const char call[] = PS_BUS_CALL;
	size_t len = 0;
	const uint8_t *frame = ps_frame_data(frames, 0, &len);

	if (len == 0 || frame[0] != 1)
		return;
	frame++;
	len--;
	if (len == strlen(call) && memcmp(frame, call, len) == 0)
		pub->called = true;
	for (int t = 0; t < PS_TOPICS; t++) {
		const char *name = ps_topic_name((enum ps_topic)t);
		if (strlen(name) >= len && memcmp(name, frame, len) == 0)
			pub->lanes[t].news = true;
	}
}

/*
 * XPUB hands its subscriptions, and whatever else its peers send, to the application, which must take them. No more at
 * once than a peer can have waiting: one that never ends holds up nothing.
 */
static void hear(struct ps_publisher *pub)
{
	struct ps_frames frames;
	for (int i = 0; i < PS_BUS_HWM && ps_socket_receive(&pub->socket, &frames) == 1; i++) {
		hear_one(pub, &frames);
		ps_frames_free(&frames);
	}
}

bool ps_publisher_called(struct ps_publisher *pub)
{
	hear(pub);
	bool called = pub->called;
	pub->called = false;
	return called;
}

struct ps_socket *ps_publisher_socket(struct ps_publisher *pub)
{
	return &pub->socket;
}

int ps_publisher_record(struct ps_publisher *pub, enum ps_topic topic, const void *record, uint64_t now)
{
	struct lane *lane = &pub->lanes[topic];
	if (ps_topic_record(topic) == PS_RECORD_TYPES)
		return -EINVAL;

	int r = ps_batch_add(&lane->batch, record);
	if (r < 0) {
		count_refused(pub, topic, 1);
		if (pub->twin)
			count_refused(pub->twin, topic, 1);
		return r;
	}
	if (lane->batch.n == 1)
		lane->since = now;
	return lane->batch.n < PS_BUS_RECORDS_MAX ? 0 : send_in_order(pub, topic);
}

int ps_publisher_map(struct ps_publisher *pub, enum ps_topic topic, const struct ps_value *map)
{
	if (ps_topic_record(topic) != PS_RECORD_TYPES || ps_value_kind(map) != PS_VALUE_MAP)
		return -EINVAL;
	ps_buf_reset(&pub->map);
	ps_msgpack_write(&pub->map, map);
	if (pub->map.error) {
		pub->lanes[topic].seq++;
		count_refused(pub, topic, 1);
		return pub->map.error;
	}
	return send_message(pub, NULL, topic, pub->map.data, pub->map.len, 1);
}

static uint64_t due_of(const struct ps_publisher *pub, enum ps_topic topic)
{
	return pub->lanes[topic].since + ps_topic_hold(topic);
}

uint64_t ps_publisher_flush(struct ps_publisher *pub, uint64_t now, bool force)
{
	uint64_t next = UINT64_MAX;
	hear(pub);

	for (int t = 0; t < PS_TOPICS; t++) {
		if (waits(pub, (enum ps_topic)t) && (force || now >= due_of(pub, (enum ps_topic)t)))
			(void)send_in_order(pub, (enum ps_topic)t); /* losses are in the totals */
	}
	/* Only now: a later topic may have taken an earlier one with it. */
	for (int t = 0; t < PS_TOPICS; t++) {
		if (waits(pub, (enum ps_topic)t))
			next = PS_MIN(next, due_of(pub, (enum ps_topic)t) - now);
	}
	return next;
}

void ps_publisher_mark(struct ps_publisher *pub, uint32_t topics)
{
	static const uint8_t nothing[] = {0x90}; /* an empty array */

	for (int t = 0; t < PS_TOPICS; t++) {
		struct lane *lane = &pub->lanes[t], *other = pub->twin ? &pub->twin->lanes[t] : lane;

		if (!(topics >> t & 1) || waits(pub, (enum ps_topic)t))
			continue;
		lane->quiet = lane->seq == lane->marked ? lane->quiet + 1 : 0;
		if (lane->quiet > 0 && (lane->news || other->news || lane->quiet % PS_BUS_MARK_EVERY == 1)) {
			(void)send_message(pub, pub->twin, (enum ps_topic)t, nothing, sizeof(nothing), 0);
			lane->news = other->news = false;
		}
		lane->marked = lane->seq;
	}
}

void ps_publisher_set_lost(struct ps_publisher *pub, enum ps_topic topic, uint64_t lost)
{
	pub->lanes[topic].news = pub->lanes[topic].news || pub->lanes[topic].lost != lost;
	pub->lanes[topic].lost = lost;
}

void ps_publisher_totals(const struct ps_publisher *pub, struct ps_publisher_totals *ret_totals)
{
	struct ps_publisher_totals totals = {.epoch = pub->epoch};
	for (int t = 0; t < PS_TOPICS; t++) {
		totals.published[t] = *pub->lanes[t].published;
		totals.refused[t] = *pub->lanes[t].refused;
		totals.seq[t] = pub->lanes[t].seq;
	}
	*ret_totals = totals;
}
