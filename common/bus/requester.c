#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/bus/bus.h"
#include "common/bus/header.h"
#include "common/bus/request.h"
#include "common/bus/socket.h"
#include "common/codec/msgpack.h"

struct ps_requester {
	struct ps_socket socket;
	uint64_t last_id;
};

int ps_requester_new(struct ps_bus *bus, const char *endpoint, struct ps_requester **ret_rq, struct ps_error *err)
{
	_cleanup_(ps_requester_free) struct ps_requester *rq = calloc(1, sizeof(*rq));
	if (!rq)
		return ps_error_set(err, -ENOMEM, 500, "no_memory", "", "No memory for a requester");
	int r = ps_request_socket(bus, ZMQ_DEALER, 0, &rq->socket, err);
	if (r < 0)
		return r;
	/*
	 * No queue for a part that is down: a request that its caller has given up must not take effect when the part
	 * comes back minutes later. The price: a reply that nobody has read yet when its part closes is dropped with
	 * it.
	 */
	const int on = 1;
	if (zmq_setsockopt(rq->socket.handle, ZMQ_IMMEDIATE, &on, sizeof(on)) != 0)
		return ps_error_set(err, -errno, 503, "bus", "", "Cannot set up %s: %s", endpoint, zmq_strerror(errno));
	r = ps_socket_connect(&rq->socket, endpoint, err);
	if (r < 0)
		return r;
	*ret_rq = PS_TAKE(rq);
	return 0;
}

void ps_requester_free(struct ps_requester **rq)
{
	if (!*rq)
		return;
	ps_socket_close(&(*rq)->socket);
	free(*rq);
	*rq = NULL;
}

static int write_header(struct ps_buf *out, uint64_t id, const char *op, const char *peer, int timeout_ms)
{
	_cleanup_(ps_value_free) struct ps_value *header = ps_request_header(id);
	if (!header || ps_value_set(header, "op", ps_value_string(op)) < 0 ||
		ps_value_set(header, "peer", ps_value_string(peer ? peer : "")) < 0)
		return -ENOMEM;
	if (timeout_ms > 0 &&
		ps_value_set(header, "deadline", ps_value_uint(ps_clock_wall() + (uint64_t)timeout_ms * 1000000)) < 0)
		return -ENOMEM;
	ps_msgpack_write(out, header);
	return out->error;
}

int ps_requester_send(struct ps_requester *rq, const char *op, const char *peer, const struct ps_value *args,
	int timeout_ms, uint64_t *ret_id)
{
	_cleanup_(ps_buf_free) struct ps_buf header = {.limit = PS_BUS_HEADER_MAX};
	_cleanup_(ps_buf_free) struct ps_buf body = {.limit = PS_VALUE_BYTES_MAX};
	_cleanup_(ps_value_free) struct ps_value *none = NULL;

	if (!args) {
		args = none = ps_value_map();
		if (!none)
			return -ENOMEM;
	}
	int r = write_header(&header, rq->last_id + 1, op, peer, timeout_ms);
	if (r < 0)
		return r;
	ps_msgpack_write(&body, args);
	if (body.error)
		return body.error;

	const struct ps_frame frames[] = {
		{header.data, header.len},
		{body.data, body.len},
	};
	r = ps_socket_send(&rq->socket, frames, PS_ARRAY_SIZE(frames));
	if (r < 0)
		return r;
	rq->last_id++;
	if (ret_id)
		*ret_id = rq->last_id;
	return 0;
}

static int read_error(const struct ps_value *header, int status, struct ps_error *ret_error)
{
	const struct ps_value *e = ps_value_get(header, "error");
	if (ps_value_kind(e) != PS_VALUE_MAP)
		return -EBADMSG;
	(void)ps_error_set(ret_error, 0, status, ps_value_get_string(e, "code", ""),
		ps_value_get_string(e, "field", ""), "%s", ps_value_get_string(e, "message", ""));
	return 0;
}

int ps_frames_read_reply(struct ps_frames *frames, struct ps_reply *reply)
{
	_cleanup_(ps_value_free) struct ps_value *header = NULL;
	uint64_t status = 0;
	if (frames->total != 2 && frames->total != 3)
		return -EBADMSG;
	int r = ps_request_read_map(frames, 0, PS_BUS_HEADER_MAX, false, &header);
	if (r == 0)
		r = ps_request_read_id(header, &reply->id);
	if (r == 0 && (!ps_header_number(header, "status", 599, &status) || status < 100))
		r = -EBADMSG;
	reply->status = (int)status;
	if (r == 0 && status >= 400)
		r = read_error(header, reply->status, &reply->error);
	if (r == 0)
		r = ps_request_read_map(frames, 1, PS_VALUE_BYTES_MAX, true, &reply->body);
	if (r < 0 || frames->total == 2)
		return r;

	const uint8_t *payload = ps_frame_data(frames, 2, &reply->payload_len);
	if (reply->payload_len > PS_BUS_MESSAGE_MAX)
		return -EBADMSG;
	reply->payload = malloc(reply->payload_len + 1); /* never a request for nothing */
	if (!reply->payload)
		return -ENOMEM;
	if (reply->payload_len)
		memcpy(reply->payload, payload, reply->payload_len);
	return 0;
}

int ps_requester_next(struct ps_requester *rq, struct ps_reply *ret_reply)
{
	_cleanup_(ps_frames_free) struct ps_frames frames;
	int r = ps_socket_receive(&rq->socket, &frames);
	if (r <= 0)
		return r;

	struct ps_reply reply = {0};
	r = ps_frames_read_reply(&frames, &reply);
	if (r < 0) {
		ps_reply_free(&reply);
		return r;
	}
	*ret_reply = reply;
	return 1;
}

void ps_reply_free(struct ps_reply *reply)
{
	ps_value_free(&reply->body);
	free(reply->payload);
	*reply = (struct ps_reply){0};
}

/* Whole milliseconds until the deadline (boot time), rounded up; 0 = it is over. */
static int left_ms(uint64_t deadline)
{
	uint64_t now = ps_clock_boot();
	return deadline > now ? (int)((deadline - now + 999999) / 1000000) : 0;
}

/* Waits for events until the deadline (boot time). 1, 0 = time is over, -errno. */
static int wait_until(struct ps_requester *rq, short events, uint64_t deadline)
{
	for (;;) {
		int left = left_ms(deadline);
		int r = ps_socket_wait(&rq->socket, events, left);
		if (r > 0 || (r < 0 && r != -EINTR))
			return r;
		if (left == 0)
			return 0;
	}
}

static int no_answer(struct ps_error *err, const char *op, int timeout_ms)
{
	return ps_error_set(err, -ETIMEDOUT, 503, "no_answer", "",
		"No answer to %s within %d ms: the part is not running or is stuck", op, timeout_ms);
}

int ps_requester_call(struct ps_requester *rq, const char *op, const char *peer, const struct ps_value *args,
	int timeout_ms, struct ps_reply *ret_reply, struct ps_error *err)
{
	uint64_t deadline = ps_clock_boot() + (uint64_t)PS_MAX(timeout_ms, 0) * 1000000;
	uint64_t id = 0;
	int r;

	do {
		r = wait_until(rq, ZMQ_POLLOUT, deadline);
		if (r == 0)
			return no_answer(err, op, timeout_ms);
		if (r > 0)
			r = ps_requester_send(rq, op, peer, args, PS_MAX(left_ms(deadline), 1), &id);
	} while (r == -EAGAIN);
	if (r < 0)
		return ps_error_set(err, r, 503, "bus", "", "Cannot send %s: %s", op, strerror(-r));

	for (;;) {
		struct ps_reply reply;
		r = ps_requester_next(rq, &reply);
		if (r == 1 && reply.id == id) {
			*ret_reply = reply;
			return 0;
		}
		if (r == 1) {
			ps_reply_free(&reply); /* to a request that was given up */
			continue;
		}
		if (r < 0 && r != -EBADMSG)
			return ps_error_set(
				err, r, 503, "bus", "", "Cannot receive the answer to %s: %s", op, strerror(-r));
		if (r == 0 && (r = wait_until(rq, ZMQ_POLLIN, deadline)) <= 0)
			return r == 0 ? no_answer(err, op, timeout_ms)
				      : ps_error_set(err, r, 503, "bus", "", "Cannot wait for the answer to %s: %s", op,
						strerror(-r));
	}
}

struct ps_socket *ps_requester_socket(struct ps_requester *rq)
{
	return &rq->socket;
}
