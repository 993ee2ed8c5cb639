/*
 * The hot codec: records of one schema as msgpack arrays, back to back in one payload (an array of n arrays).
 * Writing follows a fixed layout, straight-line code from schema.def; reading accepts every width of integer and string
 * that msgpack allows, and any order or subset of columns: the header's `fields` says which.
 */
#ifndef PS_BATCH_H
#define PS_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/limits.h"
#include "common/model/schema.h"

/* A payload under construction. */
struct ps_batch {
	enum ps_record_type type;
	struct ps_buf buf; /* five bytes of room for the array head, then the records */
	uint32_t n;
};

void ps_batch_init(struct ps_batch *b, enum ps_record_type type);
void ps_batch_free(struct ps_batch *b);
void ps_batch_reset(struct ps_batch *b);

/* Appends one record: struct ps_conn, ps_icmp or ps_drop by the batch's type. -ENOSPC when PS_BUS_RECORDS_MAX are in;
 * -ENOMEM. */
int ps_batch_add(struct ps_batch *b, const void *record);

/* Writes the array head; the payload is valid until the batch changes. */
void ps_batch_payload(struct ps_batch *b, const uint8_t **ret_data, size_t *ret_len);

/* The column names of a schema as a msgpack array of strings (for the header's `fields`). */
void ps_batch_fields(struct ps_buf *out, enum ps_record_type type);

/* Reads a payload. Column k of the payload is fields[k] of the schema, NULL = a column we do not know (skipped). */
struct ps_batch_reader {
	enum ps_record_type type;
	const struct ps_field *column[PS_BUS_FIELDS_MAX];
	size_t n_columns;
	bool direct; /* connections, and the columns are all of ours in our order */
	const uint8_t *p, *end;
	uint32_t left; /* records to come */
};

/* `fields` is a list of strings (a parsed header's). -EBADMSG: payload is no array, or more than PS_BUS_FIELDS_MAX
 * columns. */
struct ps_value;
int ps_batch_reader_init(struct ps_batch_reader *r, enum ps_record_type type, const struct ps_value *fields,
	const uint8_t *payload, size_t len);

/*
 * Next record into *record (struct of the type). A column that is missing is as if nil: zero, empty, and -1 for a rule.
 * A word that this version does not know is none. 1 = got one, 0 = end, -EBADMSG = broken, or something follows the
 * last record.
 */
int ps_batch_next(struct ps_batch_reader *r, void *record);

#endif
