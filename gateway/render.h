/*
 * Records as the REST clients read them: the fields of schema.def, and before them `key` and `info`, the two lines of
 * text that clients of the prototype show.
 */
#ifndef PS_RENDER_H
#define PS_RENDER_H

#include "common/base/buf.h"
#include "common/bus/bus.h"

/* One object: {"key":"…","info":"…",fields…}. Connections and ICMP records. */
void ps_render_record(struct ps_buf *out, enum ps_record_type type, const void *record);

/*
 * Every record of a reply (columns: body.fields), separated by commas; a comma comes first when `more`. Returns their
 * number, or -EBADMSG when the reply breaks the format.
 */
int ps_render_reply(struct ps_buf *out, enum ps_record_type type, const struct ps_reply *reply, bool more);

#endif
