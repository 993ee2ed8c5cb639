#include "cli/columns.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/human.h"

static bool is_number(enum ps_kind kind)
{
	switch (kind) {
	case PS_KIND_U8:
	case PS_KIND_U16:
	case PS_KIND_U32:
	case PS_KIND_U64:
	case PS_KIND_TIME:
	case PS_KIND_SPAN:
	case PS_KIND_RATIO:
	case PS_KIND_RULE:
		return true;
	default:
		return false;
	}
}

static int unknown(const struct ps_schema *schema, const char *name, struct ps_error *err)
{
	return ps_error_set(err, -EINVAL, 400, "bad_value", "fields",
		"%s records have no field \"%.32s\"; `--fields all` shows every one, src and dst are address and port "
		"together",
		schema->name, name);
}

static void add(struct ps_columns *c, const char *title, const struct ps_field *field, const struct ps_field *port)
{
	struct ps_column *column;
	size_t i;

	if (c->n == PS_TABLE_COLUMNS_MAX)
		return;
	column = &c->column[c->n++];
	for (i = 0; title[i] && i + 1 < sizeof(column->title); i++)
		column->title[i] = (char)(title[i] == '_' ? ' ' : toupper((unsigned char)title[i]));
	column->title[i] = '\0';
	column->field = field;
	column->port = port;
}

static int add_named(struct ps_columns *c, const char *name, size_t len, struct ps_error *err)
{
	const struct ps_schema *schema = c->schema;
	const struct ps_field *field = ps_schema_find(schema, name, len);
	char text[32];

	(void)snprintf(text, sizeof(text), "%.*s", (int)len, name);
	if (field) {
		add(c, field->name, field, NULL);
	} else if (strcmp(text, "src") == 0) {
		add(c, "src", ps_schema_find(schema, "src_ip", 6), ps_schema_find(schema, "src_port", 8));
	} else if (strcmp(text, "dst") == 0) {
		add(c, "dst", ps_schema_find(schema, "dst_ip", 6), ps_schema_find(schema, "dst_port", 8));
	} else if (strcmp(text, "all") == 0) {
		for (size_t i = 0; i < schema->n_fields; i++)
			add(c, schema->fields[i].name, &schema->fields[i], NULL);
	} else {
		return unknown(schema, text, err);
	}
	return 0;
}

int ps_columns_choose(
	const struct ps_schema *schema, const char *list, struct ps_columns *ret_columns, struct ps_error *err)
{
	struct ps_columns c = {.schema = schema};

	while (*list) {
		size_t len = strcspn(list, ",");

		if (len > 0) {
			int r = add_named(&c, list, len, err);

			if (r < 0)
				return r;
		}
		list += len + (list[len] == ',');
	}
	if (c.n == 0)
		return unknown(schema, "", err);
	*ret_columns = c;
	return 0;
}

void ps_columns_schema(const struct ps_columns *c, struct ps_field *fields, struct ps_schema *ret_schema)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n && n < c->schema->n_fields; i++) {
		fields[n++] = *c->column[i].field;
		if (c->column[i].port && n < c->schema->n_fields)
			fields[n++] = *c->column[i].port;
	}
	*ret_schema = (struct ps_schema){
		.name = c->schema->name,
		.fields = fields,
		.n_fields = n,
		.size = c->schema->size,
	};
}

void ps_columns_begin(const struct ps_columns *c, struct ps_table *t)
{
	for (size_t i = 0; i < c->n; i++)
		ps_table_column(t, c->column[i].title, !c->column[i].port && is_number(c->column[i].field->kind));
}

/* What an operator should see at a glance. */
static enum ps_style style_of(enum ps_kind kind, const char *word)
{
	if (kind == PS_KIND_VERDICT)
		return strcmp(word, "drop") == 0    ? PS_STYLE_BAD
		       : strcmp(word, "allow") == 0 ? PS_STYLE_GOOD
						    : PS_STYLE_DIM;
	if (kind == PS_KIND_STATE) {
		if (strcmp(word, "established") == 0 || strcmp(word, "replied") == 0)
			return PS_STYLE_GOOD;
		if (strcmp(word, "syn_sent") == 0 || strcmp(word, "syn_recv") == 0 || strcmp(word, "unreplied") == 0)
			return PS_STYLE_WARN;
		return PS_STYLE_DIM;
	}
	return PS_STYLE_PLAIN;
}

static void add_time(struct ps_table *t, const char *text, uint64_t now)
{
	char span[PS_HUMAN_TEXT];
	uint64_t when;

	if (ps_human_parse_time(text, &when) < 0)
		ps_table_cell(t, PS_STYLE_PLAIN, text);
	else
		ps_table_cellf(
			t, PS_STYLE_PLAIN, "%s ago", ps_human_span(now > when ? (double)(now - when) / 1e9 : 0, span));
}

static void add_endpoint(struct ps_table *t, const char *address, const struct ps_value *port)
{
	ps_table_cellf(t, PS_STYLE_PLAIN, strchr(address, ':') ? "[%s]:%" PRId64 : "%s:%" PRId64, address,
		ps_value_as_int(port, 0));
}

/* Of these fields 0 says that there is none. */
static bool is_absent(const char *name, const struct ps_value *v)
{
	return (strncmp(name, "rtt_", 4) == 0 || strncmp(name, "inner_", 6) == 0) && ps_value_as_real(v, 1) == 0;
}

static void add_number(struct ps_table *t, const struct ps_field *field, const struct ps_value *v)
{
	enum ps_kind kind = field->kind;
	char text[PS_HUMAN_TEXT];

	if (is_absent(field->name, v))
		ps_table_cell(t, PS_STYLE_DIM, "-");
	else if (kind == PS_KIND_SPAN)
		ps_table_cell(t, PS_STYLE_PLAIN, ps_human_span(ps_value_as_real(v, 0), text));
	else if (kind == PS_KIND_RATIO)
		ps_table_cellf(t, PS_STYLE_PLAIN, "%.2f %%", ps_value_as_real(v, 0) * 100);
	else if (ps_value_kind(v) == PS_VALUE_REAL)
		ps_table_cellf(t, PS_STYLE_PLAIN, "%.0f", ps_value_as_real(v, 0));
	else
		ps_table_cellf(t, PS_STYLE_PLAIN, "%" PRIu64, ps_value_as_uint(v, 0));
}

void ps_columns_add(const struct ps_columns *c, struct ps_table *t, const struct ps_value *record, uint64_t now)
{
	ps_table_row(t);
	for (size_t i = 0; i < c->n; i++) {
		const struct ps_column *column = &c->column[i];
		enum ps_kind kind = column->field->kind;
		const struct ps_value *v = ps_value_get(record, column->field->name);
		const char *text = ps_value_as_string(v, "");

		switch (ps_value_kind(v)) {
		case PS_VALUE_INT:
		case PS_VALUE_UINT:
		case PS_VALUE_REAL:
			add_number(t, column->field, v);
			break;
		case PS_VALUE_BOOL:
			ps_table_cell(t, PS_STYLE_PLAIN, ps_value_as_bool(v, false) ? "yes" : "no");
			break;
		case PS_VALUE_STRING:
			if (column->port)
				add_endpoint(t, text, ps_value_get(record, column->port->name));
			else if (kind == PS_KIND_TIME)
				add_time(t, text, now);
			else
				ps_table_cell(t, style_of(kind, text), text);
			break;
		default:
			ps_table_cell(t, PS_STYLE_DIM, "-");
			break;
		}
	}
}
