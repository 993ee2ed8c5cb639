#include "gateway/render.h"

#include <errno.h>
#include <string.h>

#include "common/codec/batch.h"
#include "common/codec/json.h"
#include "common/model/record.h"

union any_record {
	struct ps_conn conn;
	struct ps_icmp icmp;
	struct ps_drop drop;
};

void ps_render_record(struct ps_buf *out, enum ps_record_type type, const void *record)
{
	char key[PS_KEY_TEXT], info[PS_INFO_TEXT];

	ps_buf_addc(out, '{');
	if (type == PS_RECORD_CONN) {
		ps_conn_key(record, key);
		ps_conn_info(record, info);
	} else if (type == PS_RECORD_ICMP) {
		ps_icmp_key_text(record, key);
		ps_icmp_info(record, info);
	}
	if (type == PS_RECORD_CONN || type == PS_RECORD_ICMP) {
		ps_buf_adds(out, "\"key\":");
		ps_json_string(out, key, strlen(key));
		ps_buf_adds(out, ",\"info\":");
		ps_json_string(out, info, strlen(info));
		ps_buf_addc(out, ',');
	}
	ps_json_record(out, &ps_schemas[type], record);
	ps_buf_addc(out, '}');
}

int ps_render_reply(struct ps_buf *out, enum ps_record_type type, const struct ps_reply *reply, bool more)
{
	struct ps_batch_reader reader;
	int r, n = 0;

	if (!reply->payload || !reply->payload_len)
		return 0;
	r = ps_batch_reader_init(
		&reader, type, ps_value_get(reply->body, "fields"), reply->payload, reply->payload_len);
	if (r < 0)
		return r;
	for (;;) {
		union any_record record;

		memset(&record, 0, sizeof(record));
		r = ps_batch_next(&reader, &record);
		if (r < 0)
			return r;
		if (r == 0)
			return n;
		if (more || n)
			ps_buf_addc(out, ',');
		ps_render_record(out, type, &record);
		n++;
	}
}
