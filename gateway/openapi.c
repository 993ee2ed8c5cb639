#include "gateway/openapi.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/codec/json.h"
#include "common/model/rule_fields.h"
#include "common/model/schema.h"
#include "gateway/exchange.h"
#include "gateway/handlers.h"
#include "gateway/param.h"
#include "gateway/problem.h"
#include "gateway/route.h"

/* Maps are put together from here on; NULL travels through (ps_value_set takes it as no memory), so only ends are
 * checked. */
static struct ps_value *with(struct ps_value *map, const char *key, struct ps_value *child)
{
	if (!map) {
		ps_value_free(&child);
		return NULL;
	}
	if (ps_value_set(map, key, child) < 0)
		ps_value_free(&map);
	return map;
}

static struct ps_value *with_text(struct ps_value *map, const char *key, const char *text)
{
	return with(map, key, ps_value_string(text));
}

static struct ps_value *one(const char *key, struct ps_value *child)
{
	return with(ps_value_map(), key, child);
}

static struct ps_value *list_with(struct ps_value *list, struct ps_value *child)
{
	if (!list) {
		ps_value_free(&child);
		return NULL;
	}
	if (ps_value_append(list, child) < 0)
		ps_value_free(&list);
	return list;
}

/* --- schemas -------------------------------------------------------------------------------------- */

/* "a,b,c" */
static struct ps_value *words(const char *text, size_t len)
{
	struct ps_value *list = ps_value_list();

	for (const char *p = text, *end = text + len; p < end;) {
		const char *comma = memchr(p, ',', (size_t)(end - p));
		size_t n = (size_t)((comma ? comma : end) - p);

		list = list_with(list, ps_value_string_n(p, n));
		p += n + 1;
	}
	return with_text(one("enum", list), "type", "string");
}

static struct ps_value *named(const char *type)
{
	static const struct {
		const char *name, *type, *format, *pattern;
	} known[] = {
		{"string", "string", NULL, NULL},
		{"integer", "integer", NULL, NULL},
		{"number", "number", NULL, NULL},
		{"boolean", "boolean", NULL, NULL},
		{"object", "object", NULL, NULL},
		{"time", "string", "date-time", NULL},
		{"id", "string", NULL, "^[0-9a-f]{16}$"},
	};

	for (size_t i = 0; i < PS_ARRAY_SIZE(known); i++) {
		struct ps_value *v;

		if (strcmp(known[i].name, type) != 0)
			continue;
		v = one("type", ps_value_string(known[i].type));
		if (known[i].format)
			v = with_text(v, "format", known[i].format);
		return known[i].pattern ? with_text(v, "pattern", known[i].pattern) : v;
	}
	return ps_value_map(); /* any */
}

static struct ps_value *schema(const char *text, size_t len)
{
	const char * or = memmem(text, len, " or ", 4);
	char name[64];

	if (or) {
		struct ps_value *either = list_with(ps_value_list(), schema(text, (size_t)(or -text)));

		return one("anyOf", list_with(either, schema(or +4, len - (size_t)(or +4 - text))));
	}
	if (len && text[len - 1] == '?') {
		struct ps_value *either = list_with(ps_value_list(), schema(text, len - 1));

		return one("anyOf", list_with(either, one("type", ps_value_string("null"))));
	}
	if (len > 2 && text[0] == '[')
		return with_text(one("items", schema(text + 1, len - 2)), "type", "array");
	if (len > 5 && !memcmp(text, "enum:", 5))
		return words(text + 5, len - 5);
	(void)snprintf(name, sizeof(name), "%.*s", (int)len, text);
	if (*name >= 'A' && *name <= 'Z') {
		char ref[96];

		(void)snprintf(ref, sizeof(ref), "#/components/schemas/%s", name);
		return one("$ref", ps_value_string(ref));
	}
	return named(name);
}

static struct ps_value *described(const char *text, const char *doc)
{
	return with_text(schema(text, strlen(text)), "description", doc);
}

/* What each kind of schema.h is in JSON. */
static const char *kind_schema(enum ps_kind kind)
{
	switch (kind) {
	case PS_KIND_U8:
	case PS_KIND_U16:
	case PS_KIND_U32:
	case PS_KIND_U64:
		return "integer";
	case PS_KIND_ID:
		return "id?";
	case PS_KIND_NAME:
		return "string";
	case PS_KIND_BOOL:
		return "boolean";
	case PS_KIND_TIME:
		return "time?";
	case PS_KIND_SPAN:
	case PS_KIND_RATIO:
		return "number";
	case PS_KIND_RULE:
		return "integer?";
	case PS_KIND_MODE:
		return "enum:enforce,shadow";
	default:
		return "string?";
	}
}

/* A record with all its fields, as the lists have it. */
static struct ps_value *record(enum ps_record_type type)
{
	const struct ps_schema *s = &ps_schemas[type];
	struct ps_value *properties = ps_value_map(), *required = ps_value_list(), *v;

	if (type != PS_RECORD_DROP) {
		properties = with(properties, "key", described("string", "Who with whom, for people"));
		properties = with(properties, "info", described("string", "Counters and last packet, for people"));
		required = list_with(list_with(required, ps_value_string("key")), ps_value_string("info"));
	}
	for (size_t i = 0; i < s->n_fields; i++) {
		properties = with(
			properties, s->fields[i].name, described(kind_schema(s->fields[i].kind), s->fields[i].doc));
		required = list_with(required, ps_value_string(s->fields[i].name));
	}
	v = with(one("type", ps_value_string("object")), "properties", properties);
	return with(with(v, "required", required), "additionalProperties", ps_value_bool(false));
}

/* What a member of a rule may be, in a body or an answer. */
#define RULE_ID "integer"
#define RULE_TYPE "enum:basic,tcp,udp,icmp"
#define RULE_PROTO "string or integer"
#define RULE_NET "string?"
#define RULE_PORTS "integer or string?"
#define RULE_FLAGS "integer or string"
#define RULE_ICMP "integer?"
#define RULE_INNER_PROTO "string or integer?"
#define RULE_DIRECTION "enum:ingress,egress,both"
#define RULE_ACTION "enum:drop,allow"
#define RULE_MODE "enum:enforce,shadow"
#define RULE_RATE "integer?"
#define RULE_BOOL "boolean"
#define RULE_PRIORITY "integer"
#define RULE_TTL "number?"
#define RULE_TIME "time?"
#define RULE_EXPIRED "boolean"
#define RULE_TEXT "string"
#define RULE_SOURCE "enum:user,ai,detector,import"
#define RULE_CONFIRM "time?"
#define RULE_GENERATION "integer"

static struct ps_value *rule(void)
{
	struct ps_value *properties = ps_value_map();

#define PS_RULE(name, kind, applies, member, doc) properties = with(properties, #name, described(RULE_##kind, doc));
#define PS_RULE_ECHO(name) \
	properties = with(properties, #name, described("any", "Of an answer; in a body it is left alone"));
#include "common/model/rule.def"
	properties = with(properties, "confirm_within",
		described("integer", "Seconds; of a body: undone after so many, unless it is confirmed before"));
	properties = with(properties, "force", described("boolean", "Of a body: also against the lock-out guard"));
	return with(with(one("type", ps_value_string("object")), "properties", properties), "additionalProperties",
		ps_value_bool(false));
}

#define REQUIRED true
#define OPTIONAL false

static const struct {
	const char *schema, *name;
	bool required;
	const char *type, *doc;
} members[] = {
#define PS_MEMBER(s, name, required, type, doc) {#s, name, required, type, doc},
#include "gateway/answer.def"
};

/* The object whose rows begin at *i; *i moves behind them. */
static struct ps_value *object(size_t *i)
{
	const char *name = members[*i].schema;
	struct ps_value *properties = ps_value_map(), *required = ps_value_list(), *v;

	for (; *i < PS_ARRAY_SIZE(members) && !strcmp(members[*i].schema, name); ++*i) {
		properties = with(properties, members[*i].name, described(members[*i].type, members[*i].doc));
		if (members[*i].required)
			required = list_with(required, ps_value_string(members[*i].name));
	}
	v = with(one("type", ps_value_string("object")), "properties", properties);
	return with(v, "required", required);
}

static struct ps_value *schemas(void)
{
	struct ps_value *all = one("Connection", record(PS_RECORD_CONN));

	all = with(with(all, "Icmp", record(PS_RECORD_ICMP)), "Drop", record(PS_RECORD_DROP));
	all = with(all, "Rule", rule());
	for (size_t i = 0; i < PS_ARRAY_SIZE(members);) {
		const char *name = members[i].schema;

		all = with(all, name, object(&i));
	}
	return all;
}

/* --- routes --------------------------------------------------------------------------------------- */

/* "text/plain": {"schema": {"type": "string"}} or "application/json": {…} for each word. */
static struct ps_value *content(const char *text)
{
	struct ps_value *map = ps_value_map();
	size_t len = strlen(text), json = 0;

	/* Media types stand behind the schema. */
	for (const char *p = text; *p;) {
		size_t n = strcspn(p, " ");

		if (memchr(p, '/', n)) {
			char type[64];

			(void)snprintf(type, sizeof(type), "%.*s", (int)n, p);
			map = with(map, type, one("schema", one("type", ps_value_string("string"))));
			if (!json)
				json = (size_t)(p - text) + 1;
		}
		p += n + (p[n] == ' ');
	}
	if (json)
		len = json > 1 ? json - 2 : 0;
	return len ? with(map, "application/json", one("schema", schema(text, len))) : map;
}

static struct ps_value *problem(const char *description)
{
	struct ps_value *body = one("schema", one("$ref", ps_value_string("#/components/schemas/Problem")));

	return with(one("description", ps_value_string(description)), "content", one(PS_PROBLEM_TYPE, body));
}

/* "200 Rule;404" */
static struct ps_value *answers(const struct ps_route *r)
{
	struct ps_value *map = ps_value_map();

	for (const char *p = r->answers; *p;) {
		char text[160], status[4];
		size_t n = strcspn(p, ";");
		int code;

		(void)snprintf(text, sizeof(text), "%.*s", (int)n, p);
		(void)snprintf(status, sizeof(status), "%.3s", text);
		code = atoi(status);
		if (!text[3] && code >= 400)
			map = with(map, status, problem(ps_http_phrase(code)));
		else if (!text[3])
			map = with(map, status, one("description", ps_value_string(ps_http_phrase(code))));
		else
			map = with(map, status,
				with(one("description", ps_value_string(ps_http_phrase(code))), "content",
					content(text + 4)));
		p += n + (p[n] == ';');
	}
	return with(map, "default", problem("Refused, or failed"));
}

static struct ps_value *query_parameter(const struct ps_param *p)
{
	struct ps_value *v = one("name", ps_value_string(p->name)), *type;

	switch (p->kind) {
	case PS_PARAM_NUMBER:
		type = with(with(one("type", ps_value_string("integer")), "minimum", ps_value_uint(p->min)), "maximum",
			ps_value_uint(p->max));
		break;
	case PS_PARAM_BOOL:
		type = one("type", ps_value_string("boolean"));
		break;
	case PS_PARAM_WORD:
		type = words(p->words, strlen(p->words));
		break;
	default:
		type = with(one("type", ps_value_string("string")), "maxLength", ps_value_uint(p->max));
	}
	return with(with_text(with_text(v, "in", "query"), "description", p->doc), "schema", type);
}

static struct ps_value *parameters(const struct ps_route *r)
{
	const char *open = strchr(r->pattern, '{');
	struct ps_value *list = ps_value_list();

	if (open) {
		struct ps_value *v = one("name", ps_value_string_n(open + 1, strcspn(open + 1, "}")));

		v = with(with_text(v, "in", "path"), "required", ps_value_bool(true));
		list = list_with(list, with(v, "schema", one("type", ps_value_string("string"))));
	}
	for (const struct ps_param *p = r->params; p && p->name; p++)
		list = list_with(list, query_parameter(p));
	return list;
}

/* "get /api/filters/{id}" as a name: get_filters_id. */
static void operation_id(const struct ps_route *r, char out[static 96])
{
	char method[PS_HTTP_METHODS_TEXT];
	size_t n = 0;

	for (const char *p = ps_http_methods_format(r->method, method); *p; p++)
		out[n++] = (char)(*p | 0x20);
	for (const char *p = strncmp(r->pattern, "/api", 4) ? r->pattern : r->pattern + 4; *p && n < 94; p++) {
		if (*p == '/' || *p == '.')
			out[n++] = '_';
		else if (*p != '{' && *p != '}')
			out[n++] = *p;
	}
	out[n] = '\0';
}

static struct ps_value *operation(const struct ps_route *r)
{
	struct ps_value *v = one("summary", ps_value_string(r->doc));
	char id[96];

	operation_id(r, id);
	v = with(with_text(v, "operationId", id), "parameters", parameters(r));
	if (*r->body)
		v = with(v, "requestBody",
			with(one("content", content(r->body)), "required",
				ps_value_bool(r->part == PS_PART_AGGREGATOR)));
	v = with(v, "responses", answers(r));
	if (r->scope == PS_SCOPE_OPEN)
		return with(v, "security", ps_value_list());
	return with_text(v, "x-scope", r->scope == PS_SCOPE_ADMIN ? "admin" : "read");
}

static struct ps_value *paths(void)
{
	struct ps_value *all = ps_value_map();

	for (size_t i = 0; i < ps_n_routes; i++) {
		const struct ps_route *r = &ps_routes[i];
		struct ps_value *path = NULL;
		char method[PS_HTTP_METHODS_TEXT];

		for (char *p = ps_http_methods_format(r->method, method); *p; p++)
			*p = (char)(*p | 0x20);
		path = ps_value_get(all, r->pattern) ? ps_value_copy(ps_value_get(all, r->pattern)) : ps_value_map();
		all = with(all, r->pattern, with(path, method, operation(r)));
	}
	return all;
}

struct ps_value *ps_openapi(void)
{
	struct ps_value *info = with_text(one("title", ps_value_string("Packet Scope")), "version", PS_VERSION);
	struct ps_value *bearer = with_text(one("type", ps_value_string("http")), "scheme", "bearer");
	struct ps_value *security = list_with(ps_value_list(), one("token", ps_value_list()));
	struct ps_value *doc = with(one("openapi", ps_value_string("3.1.0")), "info", info);

	doc = with(with(doc, "security", security), "paths", paths());
	return with(doc, "components", with(one("schemas", schemas()), "securitySchemes", one("token", bearer)));
}

/* Made once, with the first that asks: it says the same as long as the program runs. */
void ps_handle_openapi(struct ps_exchange *x)
{
	static struct ps_buf text;

	if (!text.len) {
		_cleanup_(ps_value_free) struct ps_value *doc = ps_openapi();

		if (doc)
			ps_json_write(&text, doc);
		ps_buf_addc(&text, '\n');
		if (!doc || text.error) {
			ps_buf_free(&text);
			ps_answer_value(x, 200, NULL);
			return;
		}
	}
	ps_answer_fixed(x, "application/json", text.data, text.len);
}
