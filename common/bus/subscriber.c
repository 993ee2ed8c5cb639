#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/bus/bus.h"
#include "common/bus/header.h"
#include "common/bus/socket.h"
#include "common/codec/wire.h"

/*
 * Frames beyond PS_BUS_MESSAGE_MAX are refused and counted here. Beyond this bound libzmq hangs up before it has read
 * the frame, and for good: a publisher that does so is no publisher of ours, and silence is what is left to expect of
 * it.
 */
#define FRAME_MAX (4ll * PS_BUS_MESSAGE_MAX)

struct ps_subscriber {
	struct ps_socket socket;
	bool known; /* a message has come: epoch is the publisher's */
	uint64_t epoch;
	uint64_t seq[PS_TOPICS]; /* last one in this epoch; 0 = none yet */
	uint64_t malformed;
};

int ps_subscriber_new(
	struct ps_bus *bus, const char *endpoint, uint32_t topics, struct ps_subscriber **ret_sub, struct ps_error *err)
{
	const struct ps_socket_options options = {
		.type = ZMQ_SUB,
		.hwm = PS_BUS_HWM,
		.frame_max = FRAME_MAX,
		.linger_ms = 0,
	};
	_cleanup_(ps_subscriber_free) struct ps_subscriber *sub = calloc(1, sizeof(*sub));
	if (!sub)
		return ps_error_set(err, -ENOMEM, 500, "no_memory", "", "No memory for a subscriber");
	int r = ps_socket_open(bus, &options, &sub->socket, err);
	if (r < 0)
		return r;
	for (int t = 0; t < PS_TOPICS; t++) {
		const char *name = ps_topic_name((enum ps_topic)t);
		if ((topics >> t & 1) && zmq_setsockopt(sub->socket.handle, ZMQ_SUBSCRIBE, name, strlen(name)) != 0)
			return ps_error_set(
				err, -errno, 503, "bus", "", "Cannot subscribe to %s: %s", name, zmq_strerror(errno));
	}
	r = ps_socket_connect(&sub->socket, endpoint, err);
	if (r < 0)
		return r;
	*ret_sub = PS_TAKE(sub);
	return 0;
}

void ps_subscriber_free(struct ps_subscriber **sub)
{
	if (!*sub)
		return;
	ps_socket_close(&(*sub)->socket);
	free(*sub);
	*sub = NULL;
}

/* True when the payload's head announces what the header says: n records, or one map. */
static bool head_agrees(const struct ps_message *m)
{
	struct ps_wire wire = {.p = m->payload, .end = m->payload + m->payload_len};
	struct ps_wire_item head;
	if (!ps_wire_next(&wire, &head))
		return false;
	if (ps_topic_record(m->topic) == PS_RECORD_TYPES)
		return head.kind == PS_WIRE_MAP && m->n == 1;
	return head.kind == PS_WIRE_ARRAY && head.n == m->n;
}

int ps_frames_read_message(struct ps_frames *frames, struct ps_message *msg)
{
	size_t topic_len, header_len, payload_len;
	if (frames->total != 3)
		return -EBADMSG;
	const uint8_t *topic = ps_frame_data(frames, 0, &topic_len);
	const uint8_t *header = ps_frame_data(frames, 1, &header_len);
	(void)ps_frame_data(frames, 2, &payload_len);
	if (header_len > PS_BUS_HEADER_MAX || payload_len > PS_BUS_MESSAGE_MAX ||
		ps_topic_parse((const char *)topic, topic_len, &msg->topic) < 0)
		return -EBADMSG;

	zmq_msg_t *payload = malloc(sizeof(*payload));
	if (!payload)
		return -ENOMEM;
	(void)zmq_msg_init(payload);
	(void)zmq_msg_move(payload, &frames->msg[2]);
	msg->impl = payload;
	msg->payload = zmq_msg_data(payload);
	msg->payload_len = zmq_msg_size(payload);

	int r = ps_header_read(msg->topic, header, header_len, msg);
	if (r < 0)
		return r;
	return head_agrees(msg) ? 0 : -EBADMSG;
}

/* Sets missed and restarted. -EBADMSG: a number that this publisher has already given. */
static int follow(struct ps_subscriber *sub, struct ps_message *msg)
{
	if (!sub->known || msg->epoch != sub->epoch) {
		memset(sub->seq, 0, sizeof(sub->seq));
		sub->known = true;
		sub->epoch = msg->epoch;
		msg->restarted = true;
	}
	uint64_t last = sub->seq[msg->topic];
	if (msg->seq <= last)
		return -EBADMSG;
	msg->missed = last ? msg->seq - last - 1 : 0;
	sub->seq[msg->topic] = msg->seq;
	return 0;
}

int ps_subscriber_next(struct ps_subscriber *sub, struct ps_message *ret_msg)
{
	_cleanup_(ps_frames_free) struct ps_frames frames;
	int r = ps_socket_receive(&sub->socket, &frames);
	if (r <= 0)
		return r;

	_cleanup_(ps_message_free) struct ps_message msg = {0};
	r = ps_frames_read_message(&frames, &msg);
	if (r == 0)
		r = follow(sub, &msg);
	if (r < 0) {
		sub->malformed += r == -EBADMSG;
		return r;
	}
	*ret_msg = msg;
	msg = (struct ps_message){0};
	return 1;
}

void ps_message_free(struct ps_message *msg)
{
	ps_value_free(&msg->header);
	if (msg->impl) {
		(void)zmq_msg_close(msg->impl);
		free(msg->impl);
	}
	*msg = (struct ps_message){0};
}

/* A subscription is all that goes upstream: to a word that is no topic. The one before goes, so that this one counts.
 */
int ps_subscriber_call(struct ps_subscriber *sub)
{
	static const char call[] = PS_BUS_CALL;

	if (zmq_setsockopt(sub->socket.handle, ZMQ_UNSUBSCRIBE, call, strlen(call)) != 0 ||
		zmq_setsockopt(sub->socket.handle, ZMQ_SUBSCRIBE, call, strlen(call)) != 0)
		return -errno;
	return 0;
}

uint64_t ps_subscriber_malformed(const struct ps_subscriber *sub)
{
	return sub->malformed;
}

struct ps_socket *ps_subscriber_socket(struct ps_subscriber *sub)
{
	return &sub->socket;
}
