#include "client/record.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/abi.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/codec/json.h"
#include "common/limits.h"
#include "common/model/community_id.h"
#include "common/model/record.h"

const struct ps_schema *ps_tap_record_schema(const struct ps_tap_record *r)
{
	return r->map ? NULL : &ps_schemas[ps_topic_record(r->topic)];
}

static const struct ps_field *find(const struct ps_tap_record *r, const char *name)
{
	const struct ps_schema *schema = ps_tap_record_schema(r);

	return schema ? ps_schema_find(schema, name, strlen(name)) : NULL;
}

/* --- JSON and lines --------------------------------------------------------------------------------- */

/* Is `name` one of the list? An empty list holds everything. */
static bool in_list(const char *list, const char *name)
{
	size_t len = strlen(name);

	if (!*list)
		return true;
	while (*list) {
		size_t n = strcspn(list, ",");

		if (n == len && strncmp(list, name, n) == 0)
			return true;
		list += n + (list[n] == ',');
	}
	return false;
}

static void add_map(const struct ps_value *map, const char *fields, struct ps_buf *out)
{
	for (size_t i = 0; i < ps_value_count(map); i++) {
		const char *key = ps_value_key_at(map, i);

		if (!in_list(fields, key))
			continue;
		ps_buf_addc(out, ',');
		ps_json_string(out, key, strlen(key));
		ps_buf_addc(out, ':');
		ps_json_write(out, ps_value_at(map, i));
	}
}

/* The Community ID is not on the bus: it is computed for those who look at it. */
static void add_record(struct ps_buf *out, const struct ps_schema *schema, enum ps_record_type type, const void *data)
{
	union {
		struct ps_conn conn;
		struct ps_icmp icmp;
		struct ps_drop drop;
	} record;

	memcpy(&record, data, schema->size);
	if (type == PS_RECORD_CONN && !record.conn.community_id[0])
		(void)ps_community_id(PS_COMMUNITY_ID_SEED, record.conn.proto, &record.conn.src_ip,
			record.conn.src_port, &record.conn.dst_ip, record.conn.dst_port, record.conn.community_id);
	else if (type == PS_RECORD_ICMP && !record.icmp.community_id[0])
		(void)ps_community_id_icmp(PS_COMMUNITY_ID_SEED, &record.icmp.src_ip, &record.icmp.dst_ip,
			record.icmp.icmp_type, record.icmp.icmp_code, record.icmp.community_id);
	ps_json_record(out, schema, &record);
}

static void add_fields(const struct ps_tap_record *r, const char *fields, struct ps_buf *out)
{
	const struct ps_schema *schema = ps_tap_record_schema(r);
	struct ps_field chosen[PS_BUS_FIELDS_MAX];
	struct ps_schema part = {.name = schema->name, .fields = chosen, .size = schema->size};

	for (size_t i = 0; i < schema->n_fields; i++) {
		if (in_list(fields, schema->fields[i].name))
			chosen[part.n_fields++] = schema->fields[i];
	}
	if (!part.n_fields)
		return;
	ps_buf_addc(out, ',');
	add_record(out, &part, ps_topic_record(r->topic), r->data);
}

void ps_tap_record_json(const struct ps_tap_record *r, const char *fields, struct ps_buf *out)
{
	char ts[PS_RFC3339_SIZE];

	ps_buf_addf(out, "{\"topic\":\"%s\",\"ts\":\"%s\"", ps_topic_name(r->topic), ps_rfc3339(r->ts, ts));
	if (r->map)
		add_map(r->map, fields, out);
	else
		add_fields(r, fields, out);
	ps_buf_addc(out, '}');
}

static void line_of_conn(const struct ps_tap_record *r, const struct ps_conn *c, struct ps_buf *out)
{
	const char *state = ps_enum_name(PS_KIND_STATE, c->state), *end = ps_enum_name(PS_KIND_END, c->end_reason);
	char key[PS_KEY_TEXT];

	ps_buf_addf(out, "%s %s, packets %" PRIu64 "/%" PRIu64 ", bytes %" PRIu64 "/%" PRIu64, ps_conn_key(c, key),
		state ? state : "", c->orig_packets, c->resp_packets, c->orig_bytes, c->resp_bytes);
	if (r->topic == PS_TOPIC_CONN_END && end)
		ps_buf_addf(out, ", ended by %s", end);
}

static void line_of_drop(const struct ps_drop *d, struct ps_buf *out)
{
	char src[PS_ADDR_TEXT], dst[PS_ADDR_TEXT], proto[8];

	ps_buf_addf(out, "rule %d %s %s %s port %u -> %s port %u, %u bytes", (int)d->rule_id,
		d->mode == PS_DROP_SHADOW ? "would have dropped" : "dropped", ps_proto_name(d->proto, proto),
		ps_addr_format(&d->src_ip, src), d->src_port, ps_addr_format(&d->dst_ip, dst), d->dst_port, d->bytes);
}

static void line_of_map(const struct ps_value *map, struct ps_buf *out)
{
	for (size_t i = 0; i < ps_value_count(map); i++) {
		const char *key = ps_value_key_at(map, i);

		ps_buf_addf(out, "%s%s=", i ? " " : "", key);
		ps_json_write(out, ps_value_at(map, i));
	}
}

void ps_tap_record_line(const struct ps_tap_record *r, struct ps_buf *out)
{
	const struct ps_icmp *icmp = r->data;
	char key[PS_KEY_TEXT];

	if (r->map) {
		line_of_map(r->map, out);
		return;
	}
	switch (ps_topic_record(r->topic)) {
	case PS_RECORD_CONN:
		line_of_conn(r, r->data, out);
		break;
	case PS_RECORD_ICMP:
		ps_buf_addf(out, "%s, packets %" PRIu64, ps_icmp_key_text(icmp, key), icmp->packets);
		break;
	default:
		line_of_drop(r->data, out);
		break;
	}
}

/* --- one field ---------------------------------------------------------------------------------------- */

/* A JSON text without its quotes; false for null. */
static bool bare(const struct ps_buf *json, size_t from, struct ps_buf *out)
{
	const char *text = (const char *)json->data + from;
	size_t len = json->len - from;

	if (json->error || (len == 4 && memcmp(text, "null", 4) == 0))
		return false;
	if (len >= 2 && text[0] == '"') {
		text++;
		len -= 2;
	}
	ps_buf_add(out, text, len);
	return true;
}

bool ps_tap_record_text(const struct ps_tap_record *r, const char *field, struct ps_buf *out)
{
	_cleanup_(ps_buf_free) struct ps_buf json = PS_BUF_INIT;
	const struct ps_field *f = find(r, field);
	struct ps_schema one = {.fields = f, .n_fields = 1};
	size_t name_len = strlen(field) + 3; /* "name": */

	if (r->map) {
		const struct ps_value *v = ps_value_get(r->map, field);

		if (ps_value_kind(v) == PS_VALUE_STRING) {
			ps_buf_add(out, ps_value_as_string(v, ""), ps_value_string_len(v));
			return true;
		}
		ps_json_write(&json, v);
		return v && bare(&json, 0, out);
	}
	if (!f)
		return false;
	one.name = ps_tap_record_schema(r)->name;
	one.size = ps_tap_record_schema(r)->size;
	add_record(&json, &one, ps_topic_record(r->topic), r->data);
	return json.len > name_len && bare(&json, name_len, out);
}

const char *ps_tap_text(const struct ps_tap_record *record, const char *field, char *buf, size_t size)
{
	_cleanup_(ps_buf_free) struct ps_buf out = PS_BUF_INIT;
	size_t n;

	if (!size)
		return "";
	(void)ps_tap_record_text(record, field, &out);
	n = PS_MIN(out.len, size - 1);
	if (n)
		memcpy(buf, out.data, n);
	buf[n] = '\0';
	return buf;
}

static bool number_of(const struct ps_field *f, const void *data, uint64_t *ret_number)
{
	const uint8_t *at = (const uint8_t *)data + f->offset;

	switch (f->kind) {
	case PS_KIND_U8:
	case PS_KIND_PROTO:
		*ret_number = *at;
		return true;
	case PS_KIND_BOOL:
		*ret_number = *(const bool *)at;
		return true;
	case PS_KIND_U16:
		*ret_number = *(const uint16_t *)at;
		return true;
	case PS_KIND_U32:
		*ret_number = *(const uint32_t *)at;
		return true;
	case PS_KIND_U64:
	case PS_KIND_ID:
	case PS_KIND_TIME:
	case PS_KIND_SPAN:
		*ret_number = *(const uint64_t *)at;
		return true;
	case PS_KIND_RULE:
		*ret_number = (uint64_t) * (const int32_t *)at;
		return *(const int32_t *)at >= 0;
	default:
		return false;
	}
}

uint64_t ps_tap_u64(const struct ps_tap_record *record, const char *field, uint64_t fallback)
{
	const struct ps_field *f = find(record, field);
	uint64_t n;

	if (record->map)
		return ps_value_get_uint(record->map, field, fallback);
	return f && number_of(f, record->data, &n) ? n : fallback;
}

double ps_tap_real(const struct ps_tap_record *record, const char *field, double fallback)
{
	const struct ps_field *f = find(record, field);
	uint64_t n;

	if (record->map)
		return ps_value_as_real(ps_value_get(record->map, field), fallback);
	if (f && f->kind == PS_KIND_RATIO)
		return *(const double *)(const void *)((const uint8_t *)record->data + f->offset);
	return f && number_of(f, record->data, &n) ? (double)n : fallback;
}

const char *ps_tap_topic(const struct ps_tap_record *record)
{
	return ps_topic_name(record->topic);
}

uint64_t ps_tap_ts(const struct ps_tap_record *record)
{
	return record->ts;
}

const char *ps_tap_source(const struct ps_tap_record *record)
{
	return record->source;
}
