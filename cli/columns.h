/*
 * Columns of a record (common/model/schema.h) chosen by name, and records as JSON objects turned into table cells.
 * Pure.
 */
#ifndef PS_COLUMNS_H
#define PS_COLUMNS_H

#include <stdint.h>

#include "cli/limits.h"
#include "cli/table.h"
#include "common/base/error.h"
#include "common/model/schema.h"
#include "common/model/value.h"

struct ps_columns {
	const struct ps_schema *schema;
	size_t n;
	struct ps_column {
		char title[24];
		const struct ps_field *field; /* an endpoint column: the address */
		const struct ps_field *port;  /* an endpoint column: the port; else NULL */
	} column[PS_TABLE_COLUMNS_MAX];
};

/*
 * `list` names fields, separated by commas; "src" and "dst" are address and port in one; "all" is every field. -EINVAL
 * fills err (field "fields") with the names there are.
 */
int ps_columns_choose(
	const struct ps_schema *schema, const char *list, struct ps_columns *ret_columns, struct ps_error *err);

/* The chosen fields as a schema of their own, for ps_json_record; `fields` must hold as many as the schema has. */
void ps_columns_schema(const struct ps_columns *c, struct ps_field *fields, struct ps_schema *ret_schema);

/* Adds the columns to an empty table. */
void ps_columns_begin(const struct ps_columns *c, struct ps_table *t);

/* Adds one record, an object as REST gives it. Times become ages: `now` is the wall clock. */
void ps_columns_add(const struct ps_columns *c, struct ps_table *t, const struct ps_value *record, uint64_t now);

#endif
