/*
 * One record as a tap gives it out, and what can be made of it. Private to the library.
 */
#ifndef PS_CLIENT_RECORD_H
#define PS_CLIENT_RECORD_H

#include "client/packetscope.h"
#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/bus/bus.h"
#include "common/model/schema.h"
#include "common/model/value.h"

struct ps_tap_record {
	enum ps_topic topic;
	uint64_t ts;
	const char *source;
	const void *data;           /* a record of the topic's type; NULL = */
	const struct ps_value *map; /* a topic whose payload is one map */
};

/* The schema of a record's type; NULL for a map. */
const struct ps_schema *ps_tap_record_schema(const struct ps_tap_record *r);

/* The field as it stands in JSON, without quotes; false: there is none, or it is null. */
bool ps_tap_record_text(const struct ps_tap_record *r, const char *field, struct ps_buf *out);

/* Appends the object, or the line. `fields` "" = every one. */
void ps_tap_record_json(const struct ps_tap_record *r, const char *fields, struct ps_buf *out);
void ps_tap_record_line(const struct ps_tap_record *r, struct ps_buf *out);

#endif
