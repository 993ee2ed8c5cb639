#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/bus/bus.h"
#include "common/bus/header.h"
#include "common/bus/request.h"
#include "common/bus/socket.h"
#include "common/codec/msgpack.h"

struct ps_responder {
	struct ps_socket socket;
	uint64_t malformed;
	uint64_t late;
};

int ps_responder_new(struct ps_bus *bus, const char *endpoint, struct ps_responder **ret_resp, struct ps_error *err)
{
	_cleanup_(ps_responder_free) struct ps_responder *resp = calloc(1, sizeof(*resp));
	if (!resp)
		return ps_error_set(err, -ENOMEM, 500, "no_memory", "", "No memory for a responder");
	int r = ps_request_socket(bus, ZMQ_ROUTER, PS_BUS_LINGER_MS, &resp->socket, err);
	if (r == 0 && *endpoint)
		r = ps_socket_bind(&resp->socket, endpoint, err);
	if (r < 0)
		return r;
	*ret_resp = PS_TAKE(resp);
	return 0;
}

int ps_responder_bind(struct ps_responder *resp, const char *endpoints, struct ps_error *err)
{
	return ps_socket_bind_more(&resp->socket, endpoints, err);
}

void ps_responder_free(struct ps_responder **resp)
{
	if (!*resp)
		return;
	ps_socket_close(&(*resp)->socket);
	free(*resp);
	*resp = NULL;
}

/* Copies a word out of a header; a missing one is "". -EBADMSG: no string, too long, or with a NUL inside. */
static int read_word(const struct ps_value *header, const char *key, char *to, size_t size)
{
	const struct ps_value *v = ps_value_get(header, key);
	size_t len = ps_value_string_len(v);
	if (!v)
		return 0;
	if (ps_value_kind(v) != PS_VALUE_STRING || len >= size || strlen(ps_value_as_string(v, "")) != len)
		return -EBADMSG;
	memcpy(to, ps_value_as_string(v, ""), len + 1);
	return 0;
}

/* -ETIMEDOUT: it is over. A request without one has all the time. */
static int check_deadline(const struct ps_value *header)
{
	uint64_t deadline;
	if (!ps_value_get(header, "deadline"))
		return 0;
	if (!ps_header_number(header, "deadline", UINT64_MAX, &deadline))
		return -EBADMSG;
	return deadline < ps_clock_wall() ? -ETIMEDOUT : 0;
}

int ps_frames_read_request(struct ps_frames *frames, struct ps_request *req)
{
	_cleanup_(ps_value_free) struct ps_value *header = NULL;
	if (frames->total != 3)
		return -EBADMSG;
	const uint8_t *identity = ps_frame_data(frames, 0, &req->identity_len);
	if (req->identity_len > sizeof(req->identity))
		return -EBADMSG;
	memcpy(req->identity, identity, req->identity_len);

	int r = ps_request_read_map(frames, 1, PS_BUS_HEADER_MAX, false, &header);
	if (r == 0)
		r = ps_request_read_id(header, &req->id);
	if (r == 0)
		r = read_word(header, "op", req->op, sizeof(req->op));
	if (r == 0)
		r = read_word(header, "peer", req->peer, sizeof(req->peer));
	if (r == 0 && !req->op[0])
		r = -EBADMSG;
	if (r == 0)
		r = check_deadline(header);
	if (r == 0)
		r = ps_request_read_map(frames, 2, PS_VALUE_BYTES_MAX, false, &req->args);
	return r;
}

int ps_responder_next(struct ps_responder *resp, struct ps_request *ret_req)
{
	_cleanup_(ps_frames_free) struct ps_frames frames;
	int r = ps_socket_receive(&resp->socket, &frames);
	if (r <= 0)
		return r;

	struct ps_request req = {0};
	r = ps_frames_read_request(&frames, &req);
	if (r < 0) {
		ps_request_free(&req);
		resp->malformed += r == -EBADMSG;
		resp->late += r == -ETIMEDOUT;
		return r;
	}
	*ret_req = req;
	return 1;
}

void ps_request_free(struct ps_request *req)
{
	ps_value_free(&req->args);
	*req = (struct ps_request){0};
}

uint64_t ps_responder_malformed(const struct ps_responder *resp)
{
	return resp->malformed;
}

uint64_t ps_responder_late(const struct ps_responder *resp)
{
	return resp->late;
}

static int add_error(struct ps_value *header, const struct ps_error *err)
{
	struct ps_value *map = ps_value_map();
	if (map && (ps_value_set(map, "code", ps_value_string(err->code)) < 0 ||
			   ps_value_set(map, "field", ps_value_string(err->field)) < 0 ||
			   ps_value_set(map, "message", ps_value_string(err->message)) < 0))
		ps_value_free(&map);
	return ps_value_set(header, "error", map); /* NULL is "no memory" */
}

static int write_header(struct ps_buf *out, uint64_t id, int status, const struct ps_error *err)
{
	static const struct ps_error unknown = {.code = "failed", .message = "The request failed"};
	_cleanup_(ps_value_free) struct ps_value *header = ps_request_header(id);
	int r = header ? ps_value_set(header, "status", ps_value_int(status)) : -ENOMEM;
	if (r == 0 && status >= 400)
		r = add_error(header, err ? err : &unknown);
	if (r == 0) {
		ps_msgpack_write(out, header);
		r = out->error;
	}
	return r;
}

static int reply(struct ps_responder *resp, const struct ps_request *req, int status, const struct ps_value *body,
	const uint8_t *payload, size_t payload_len, const struct ps_error *err)
{
	_cleanup_(ps_buf_free) struct ps_buf header = {.limit = PS_BUS_HEADER_MAX};
	_cleanup_(ps_buf_free) struct ps_buf text = {.limit = PS_VALUE_BYTES_MAX};
	if (payload_len > PS_BUS_MESSAGE_MAX)
		return -E2BIG;
	int r = write_header(&header, req->id, status, err);
	if (r < 0)
		return r;
	ps_msgpack_write(&text, body); /* NULL becomes nil */
	if (text.error)
		return text.error;

	const struct ps_frame frames[] = {
		{req->identity, req->identity_len},
		{header.data, header.len},
		{text.data, text.len},
		{payload, payload_len},
	};
	/* A requester that has gone, or reads nothing, loses its own replies: ROUTER drops them. */
	r = ps_socket_send(&resp->socket, frames, payload ? 4 : 3);
	return r == -EAGAIN ? 0 : r;
}

int ps_responder_reply(struct ps_responder *resp, const struct ps_request *req, int status, const struct ps_value *body,
	const uint8_t *payload, size_t payload_len, const struct ps_error *err)
{
	bool failed = status >= 400;
	int r = reply(resp, req, status, body, failed ? NULL : payload, failed ? 0 : payload_len, err);
	if (r == -E2BIG) {
		/* Better a reason than silence. */
		struct ps_error too_large;
		(void)ps_error_set(
			&too_large, r, 500, "too_large", "", "The answer to %s is too large; ask for less", req->op);
		(void)reply(resp, req, 500, NULL, NULL, 0, &too_large);
	}
	return r;
}

struct ps_socket *ps_responder_socket(struct ps_responder *resp)
{
	return &resp->socket;
}
