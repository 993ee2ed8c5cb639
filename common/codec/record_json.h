/*
 * Records as REST clients and readers of `replay` get them: the fields of schema.def, and before them `key` and `info`,
 * the two lines of text that clients of the prototype show.
 */
#ifndef PS_RECORD_JSON_H
#define PS_RECORD_JSON_H

#include "common/base/buf.h"
#include "common/model/schema.h"

/*
 * Appends one object: {"key":"…","info":"…",fields…}; a drop has neither key nor info. community_id is computed here if
 * the record has none, as those on the bus.
 */
void ps_record_json(struct ps_buf *out, enum ps_record_type type, const void *record);

#endif
