#include "gateway/render.h"

#include <errno.h>
#include "common/codec/row_json.h"

int ps_render_reply(struct ps_buf *out, enum ps_record_type type, const struct ps_reply *reply, bool more)
{
	struct ps_row_json rows;
	int r, n = 0;

	if (!reply->payload || !reply->payload_len)
		return 0;
	/* JSON takes twice the room of the rows: grown step by step it would be copied again and again. */
	(void)ps_buf_reserve(out, 2 * reply->payload_len);
	r = ps_row_json_init(&rows, type, ps_value_get(reply->body, "fields"), reply->payload, reply->payload_len);
	while (r >= 0) {
		size_t before = out->len;

		if (more || n)
			ps_buf_addc(out, ',');
		r = ps_row_json_next(&rows, out);
		if (r == 0) {
			out->len = before; /* no comma behind the last */
			return n;
		}
		n++;
	}
	return r;
}
