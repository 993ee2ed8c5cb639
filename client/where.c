#include "client/where.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/abi.h"
#include "common/base/cleanup.h"

static int bad(struct ps_error *err, const char *text, size_t len, const char *what)
{
	return ps_error_set(
		err, -EINVAL, 400, "bad_value", "where", "\"%.*s\": %s", (int)PS_MIN(len, (size_t)100), text, what);
}

static bool known_field(const char *name)
{
	for (int t = 0; t < PS_RECORD_TYPES; t++) {
		if (ps_schema_find(&ps_schemas[t], name, strlen(name)))
			return true;
	}
	return false;
}

static bool is_address(const char *name)
{
	for (int t = 0; t < PS_RECORD_TYPES; t++) {
		const struct ps_field *f = ps_schema_find(&ps_schemas[t], name, strlen(name));

		if (f)
			return f->kind == PS_KIND_ADDR;
	}
	return false;
}

/* The operator at the start of the text, and its length. */
static size_t read_op(const char *text, enum ps_where_op *ret_op)
{
	static const struct {
		const char *text;
		enum ps_where_op op;
	} ops[] = {
		{"!=", PS_WHERE_UNEQUAL},
		{"<=", PS_WHERE_AT_MOST},
		{">=", PS_WHERE_AT_LEAST},
		{"==", PS_WHERE_EQUAL},
		{"=", PS_WHERE_EQUAL},
		{"<", PS_WHERE_LESS},
		{">", PS_WHERE_MORE},
	};

	for (size_t i = 0; i < PS_ARRAY_SIZE(ops); i++) {
		if (strncmp(text, ops[i].text, strlen(ops[i].text)) == 0) {
			*ret_op = ops[i].op;
			return strlen(ops[i].text);
		}
	}
	return 0;
}

/* ADDRESS or ADDRESS/LENGTH. */
static int read_net(struct ps_condition *c)
{
	const char *slash = strchr(c->text, '/');
	size_t len = slash ? (size_t)(slash - c->text) : strlen(c->text);
	unsigned long prefix, whole;
	char *end;

	if (ps_addr_parse(c->text, len, &c->net) < 0)
		return -EINVAL;
	whole = c->net.family == PS_FAMILY_IPV4 ? 32 : 128;
	prefix = slash ? strtoul(slash + 1, &end, 10) : whole;
	if (slash && (slash[1] < '0' || slash[1] > '9' || *end || prefix > whole))
		return -EINVAL;
	c->is_net = true;
	c->prefix = (unsigned)prefix;
	return 0;
}

static int read_condition(const char *text, size_t len, struct ps_condition *ret_condition, struct ps_error *err)
{
	struct ps_condition c = {0};
	size_t name = strcspn(text, "=!<>,"), op, value;
	char *end;

	if (name >= len || name == 0 || name >= sizeof(c.field))
		return bad(err, text, len, "a condition is FIELD=VALUE; also != < > <= >=");
	memcpy(c.field, text, name);
	op = read_op(text + name, &c.op);
	value = len - name - op;
	if (!op || name + op > len || value >= sizeof(c.text))
		return bad(err, text, len, "a condition is FIELD=VALUE; also != < > <= >=");
	memcpy(c.text, text + name + op, value);
	if (!known_field(c.field))
		return bad(err, text, len, "no record has such a field; `--fields all --json` shows them");
	c.number = strtod(c.text, &end);
	c.is_number = *c.text && !*end;
	if (is_address(c.field)) {
		if (c.op > PS_WHERE_UNEQUAL || read_net(&c) < 0)
			return bad(err, text, len, "an address is compared by = or != with an address or a network");
	} else if (c.op > PS_WHERE_UNEQUAL && !c.is_number) {
		return bad(err, text, len, "only numbers are more or less");
	}
	*ret_condition = c;
	return 0;
}

int ps_where_parse(const char *text, struct ps_where *ret_where, struct ps_error *err)
{
	struct ps_where w = {0};

	while (*text) {
		size_t len = strcspn(text, ",");
		int r;

		if (len > 0) {
			if (w.n == PS_TAP_CONDITIONS_MAX)
				return bad(err, text, len, "more conditions than fit");
			r = read_condition(text, len, &w.condition[w.n], err);
			if (r < 0)
				return r;
			w.n++;
		}
		text += len + (text[len] == ',');
	}
	*ret_where = w;
	return 0;
}

static bool in_net(const struct ps_condition *c, const struct ps_addr *a)
{
	const uint8_t *mine = (const uint8_t *)a->word, *wanted = (const uint8_t *)c->net.word;
	unsigned bytes = c->prefix / 8, bits = c->prefix % 8;

	if (a->family != c->net.family || memcmp(mine, wanted, bytes) != 0)
		return false;
	return bits == 0 || (mine[bytes] ^ wanted[bytes]) >> (8 - bits) == 0;
}

static bool compare(enum ps_where_op op, double a, double b)
{
	switch (op) {
	case PS_WHERE_EQUAL:
		return a == b;
	case PS_WHERE_UNEQUAL:
		return a != b;
	case PS_WHERE_LESS:
		return a < b;
	case PS_WHERE_MORE:
		return a > b;
	case PS_WHERE_AT_MOST:
		return a <= b;
	case PS_WHERE_AT_LEAST:
		return a >= b;
	}
	return false;
}

static bool condition_holds(const struct ps_condition *c, const struct ps_tap_record *r)
{
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;
	const struct ps_schema *schema = ps_tap_record_schema(r);
	const struct ps_field *f = schema ? ps_schema_find(schema, c->field, strlen(c->field)) : NULL;
	bool there, equal;
	char *end;

	if (!f && !ps_value_get(r->map, c->field))
		return false;
	if (f && c->is_net) {
		const struct ps_addr *a = (const void *)((const uint8_t *)r->data + f->offset);

		return in_net(c, a) == (c->op == PS_WHERE_EQUAL);
	}
	there = ps_tap_record_text(r, c->field, &text) && ps_buf_str(&text);
	if (there && c->is_number) {
		double number = strtod(ps_buf_str(&text), &end);

		if (!*end)
			return compare(c->op, number, c->number);
	}
	equal = strcmp(there ? ps_buf_str(&text) : "", c->text) == 0;
	return c->op <= PS_WHERE_UNEQUAL && equal == (c->op == PS_WHERE_EQUAL);
}

bool ps_where_holds(const struct ps_where *where, const struct ps_tap_record *r)
{
	for (size_t i = 0; i < where->n; i++) {
		if (!condition_holds(&where->condition[i], r))
			return false;
	}
	return true;
}
