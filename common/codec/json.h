/*
 * JSON. Reading is cJSON's (behind a check of size, depth and node count); writing is a stream into a ps_buf, exact for
 * all 64-bit integers. The only file that includes cJSON.
 */
#ifndef PS_JSON_H
#define PS_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/model/schema.h"
#include "common/model/value.h"

/* One document, nothing but white space after it; duplicate keys are an error. -EINVAL fills err (400, "bad_json", with
 * the offset). */
int ps_json_parse(const char *text, size_t len, struct ps_value **ret_value, struct ps_error *err);

/* Compact text of a tree. */
void ps_json_write(struct ps_buf *out, const struct ps_value *v);
/* The same, indented by two spaces: for files that people read. */
void ps_json_write_pretty(struct ps_buf *out, const struct ps_value *v);

/* A quoted, escaped string; bytes that are not UTF-8 become U+FFFD. */
void ps_json_string(struct ps_buf *out, const char *s, size_t len);

/* The fields of a record as the inside of an object, without braces: "id":"…","proto":"tcp",… */
void ps_json_record(struct ps_buf *out, const struct ps_schema *schema, const void *record);

#endif
