/*
 * Any frames as what each kind of socket receives: a message of a publisher, a request, a reply. The input is frames,
 * each behind its length (two bytes, little-endian); the last one may be cut off. A message that is taken is read to
 * its last record.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/bus/socket.h"
#include "common/codec/msgpack.h"

static void check(bool holds)
{
	if (!holds)
		abort();
}

/* Frames as they come from a socket: those beyond PS_FRAMES_MAX are counted only. */
static void cut(const uint8_t *data, size_t len, struct ps_frames *ret_frames)
{
	ret_frames->n = ret_frames->total = 0;
	while (len >= 2) {
		size_t size = PS_MIN((size_t)(data[0] | data[1] << 8), len - 2);
		zmq_msg_t *msg = &ret_frames->msg[ret_frames->n];

		if (ret_frames->total++ < PS_FRAMES_MAX) {
			check(zmq_msg_init_size(msg, size) == 0);
			memcpy(zmq_msg_data(msg), data + 2, size);
			ret_frames->n++;
		}
		data += 2 + size;
		len -= 2 + size;
	}
}

static void records(const struct ps_message *m)
{
	struct ps_batch_reader reader;
	union {
		struct ps_conn conn;
		struct ps_icmp icmp;
		struct ps_drop drop;
	} record;
	uint32_t n = 0;
	int r;

	if (ps_batch_reader_init(&reader, ps_topic_record(m->topic), ps_value_get(m->header, "fields"), m->payload,
		    m->payload_len) < 0)
		return;
	while ((r = ps_batch_next(&reader, &record)) > 0)
		n++;
	check(n <= m->n);
}

static void message(const uint8_t *data, size_t len)
{
	_cleanup_(ps_frames_free) struct ps_frames frames;
	_cleanup_(ps_message_free) struct ps_message m = {0};
	_cleanup_(ps_value_free) struct ps_value *map = NULL;

	cut(data, len, &frames);
	if (ps_frames_read_message(&frames, &m) < 0)
		return;
	check(frames.total == 3 && m.seq > 0 && m.n <= PS_BUS_RECORDS_MAX && m.header);
	if (ps_topic_record(m.topic) != PS_RECORD_TYPES)
		records(&m);
	else if (ps_msgpack_parse(m.payload, m.payload_len, &map) == 0)
		check(ps_value_kind(map) == PS_VALUE_MAP);
}

static void request(const uint8_t *data, size_t len)
{
	_cleanup_(ps_frames_free) struct ps_frames frames;
	struct ps_request req = {0};

	cut(data, len, &frames);
	if (ps_frames_read_request(&frames, &req) == 0)
		check(req.op[0] && strlen(req.op) < sizeof(req.op) && ps_value_kind(req.args) == PS_VALUE_MAP);
	ps_request_free(&req);
}

static void reply(const uint8_t *data, size_t len)
{
	_cleanup_(ps_frames_free) struct ps_frames frames;
	struct ps_reply got = {0};

	cut(data, len, &frames);
	if (ps_frames_read_reply(&frames, &got) == 0)
		check(got.status >= 100 && got.status < 600 && (got.status < 400 || got.error.status == got.status));
	ps_reply_free(&got);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	message(data, len);
	request(data, len);
	reply(data, len);
	return 0;
}
