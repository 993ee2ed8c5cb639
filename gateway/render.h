/*
 * Records of a reply as the REST clients read them (common/codec/record_json.h).
 */
#ifndef PS_RENDER_H
#define PS_RENDER_H

#include "common/base/buf.h"
#include "common/bus/bus.h"

/*
 * Every record of a reply (columns: body.fields), separated by commas; a comma comes first when `more`. Returns their
 * number, or -EBADMSG when the reply breaks the format.
 */
int ps_render_reply(struct ps_buf *out, enum ps_record_type type, const struct ps_reply *reply, bool more);

#endif
