#include "common/bus/header.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "common/codec/msgpack.h"

/* msgpack's bytes, as far as a header needs them. */
#define FIXMAP 0x80 /* | entries */
#define FIXSTR 0xa0 /* | length */
#define STR8 0xd9
#define UINT64 0xcf

#define FIXSTR_MAX 31

static void put_string(struct ps_buf *out, const char *s)
{
	size_t n = strnlen(s, UINT8_MAX);
	if (n <= FIXSTR_MAX) {
		ps_buf_addc(out, (char)(FIXSTR | n));
	} else {
		ps_buf_addc(out, (char)STR8);
		ps_buf_addc(out, (char)n);
	}
	ps_buf_add(out, s, n);
}

/* Always nine bytes: a header's length does not depend on its numbers. */
static void put_number(struct ps_buf *out, const char *key, uint64_t v)
{
	uint64_t be = htobe64(v);
	put_string(out, key);
	ps_buf_addc(out, (char)UINT64);
	ps_buf_add(out, &be, sizeof(be));
}

void ps_header_begin(struct ps_buf *out, enum ps_topic topic, const char *host, uint64_t epoch)
{
	bool records = ps_topic_record(topic) != PS_RECORD_TYPES;
	ps_buf_addc(out, (char)(FIXMAP | (records ? 9 : 8)));
	put_number(out, "v", PS_BUS_SCHEMA_VERSION);
	put_string(out, "host");
	put_string(out, host);
	put_number(out, "epoch", epoch);
	if (records) {
		put_string(out, "fields");
		ps_batch_fields(out, ps_topic_record(topic));
	}
}

void ps_header_end(struct ps_buf *out, uint64_t seq, uint64_t ts, uint32_t n, uint64_t lost, uint64_t before)
{
	put_number(out, "seq", seq);
	put_number(out, "ts", ts);
	put_number(out, "n", n);
	put_number(out, "lost", lost);
	put_number(out, "before", before);
}

bool ps_header_number(const struct ps_value *map, const char *key, uint64_t max, uint64_t *ret_number)
{
	const struct ps_value *v = ps_value_get(map, key);
	uint64_t number;
	if (ps_value_kind(v) == PS_VALUE_INT && ps_value_as_int(v, -1) >= 0)
		number = (uint64_t)ps_value_as_int(v, 0);
	else if (ps_value_kind(v) == PS_VALUE_UINT)
		number = ps_value_as_uint(v, 0);
	else
		return false;
	if (number > max)
		return false;
	*ret_number = number;
	return true;
}

static bool fields_are_right(const struct ps_value *fields)
{
	size_t n = ps_value_count(fields);
	if (ps_value_kind(fields) != PS_VALUE_LIST || n == 0 || n > PS_BUS_FIELDS_MAX)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (ps_value_kind(ps_value_at(fields, i)) != PS_VALUE_STRING)
			return false;
	}
	return true;
}

int ps_header_read(enum ps_topic topic, const uint8_t *data, size_t len, struct ps_message *ret_msg)
{
	struct ps_value *map = NULL;
	struct ps_message m = *ret_msg;
	uint64_t v, n;

	int r = ps_msgpack_parse(data, len, &map);
	if (r < 0)
		return r;
	bool good = ps_value_kind(map) == PS_VALUE_MAP && ps_header_number(map, "v", UINT64_MAX, &v) &&
		    v == PS_BUS_SCHEMA_VERSION && ps_value_kind(ps_value_get(map, "host")) == PS_VALUE_STRING &&
		    ps_header_number(map, "epoch", UINT64_MAX, &m.epoch) &&
		    ps_header_number(map, "seq", UINT64_MAX, &m.seq) && m.seq > 0 &&
		    ps_header_number(map, "ts", UINT64_MAX, &m.ts) &&
		    ps_header_number(map, "n", PS_BUS_RECORDS_MAX, &n) &&
		    ps_header_number(map, "lost", UINT64_MAX, &m.lost) &&
		    (!ps_value_get(map, "before") || ps_header_number(map, "before", UINT64_MAX, &m.before));
	if (good && ps_topic_record(topic) != PS_RECORD_TYPES)
		good = fields_are_right(ps_value_get(map, "fields"));
	if (!good) {
		ps_value_free(&map);
		return -EBADMSG;
	}
	m.n = (uint32_t)n;
	m.header = map;
	*ret_msg = m;
	return 0;
}
