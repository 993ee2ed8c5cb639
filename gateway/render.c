#include "gateway/render.h"

#include <errno.h>
#include <string.h>

#include "common/codec/batch.h"
#include "common/codec/record_json.h"

union any_record {
	struct ps_conn conn;
	struct ps_icmp icmp;
	struct ps_drop drop;
};

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
		ps_record_json(out, type, &record);
		n++;
	}
}
