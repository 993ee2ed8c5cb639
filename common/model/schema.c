/* See schema.h. */
#include "common/model/schema.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "bpf/abi.h"
#include "common/base/cleanup.h"

#define FIELD_AT(record, name) offsetof(record, name), sizeof(((record *)0)->name)

static const struct ps_field conn_fields[] = {
#define PS_CONN(name, kind, doc) {#name, PS_KIND_##kind, FIELD_AT(struct ps_conn, name), doc},
#include "common/model/schema.def"
};

static const struct ps_field icmp_fields[] = {
#define PS_ICMP(name, kind, doc) {#name, PS_KIND_##kind, FIELD_AT(struct ps_icmp, name), doc},
#include "common/model/schema.def"
};

static const struct ps_field drop_fields[] = {
#define PS_DROP(name, kind, doc) {#name, PS_KIND_##kind, FIELD_AT(struct ps_drop, name), doc},
#include "common/model/schema.def"
};

const struct ps_schema ps_schemas[PS_RECORD_TYPES] = {
	[PS_RECORD_CONN] = {"connection", conn_fields, PS_ARRAY_SIZE(conn_fields), sizeof(struct ps_conn)},
	[PS_RECORD_ICMP] = {"icmp", icmp_fields, PS_ARRAY_SIZE(icmp_fields), sizeof(struct ps_icmp)},
	[PS_RECORD_DROP] = {"drop", drop_fields, PS_ARRAY_SIZE(drop_fields), sizeof(struct ps_drop)},
};

const struct ps_field *ps_schema_find(const struct ps_schema *schema, const char *name, size_t name_len)
{
	for (size_t i = 0; i < schema->n_fields; i++) {
		const struct ps_field *f = &schema->fields[i];

		if (strlen(f->name) == name_len && !memcmp(f->name, name, name_len))
			return f;
	}
	return NULL;
}

#define WORD(s) \
	{ \
		sizeof(s) - 1, s \
	}

const struct ps_word ps_words[PS_WORD_KINDS][PS_WORD_VALUES] = {
	[PS_WORDS_OF(PS_KIND_VIEW)] =
		{
			[PS_VIEW_BOTH] = WORD("both"),
			[PS_VIEW_INGRESS] = WORD("ingress"),
		},
	[PS_WORDS_OF(PS_KIND_STATE)] =
		{
			[PS_TCP_SYN_SENT] = WORD("syn_sent"),
			[PS_TCP_SYN_RECV] = WORD("syn_recv"),
			[PS_TCP_ESTABLISHED] = WORD("established"),
			[PS_TCP_FIN_WAIT] = WORD("fin_wait"),
			[PS_TCP_CLOSE_WAIT] = WORD("close_wait"),
			[PS_TCP_LAST_ACK] = WORD("last_ack"),
			[PS_TCP_TIME_WAIT] = WORD("time_wait"),
			[PS_TCP_CLOSE] = WORD("close"),
			[PS_STATE_UNREPLIED] = WORD("unreplied"),
			[PS_STATE_REPLIED] = WORD("replied"),
		},
	[PS_WORDS_OF(PS_KIND_END)] =
		{
			[PS_END_FIN] = WORD("fin"),
			[PS_END_RST] = WORD("rst"),
			[PS_END_TIMEOUT] = WORD("timeout"),
			[PS_END_EVICTED] = WORD("evicted"),
			[PS_END_DETACHED] = WORD("detached"),
		},
	[PS_WORDS_OF(PS_KIND_VERDICT)] =
		{
			[PS_VERDICT_NONE] = WORD("pass"),
			[PS_VERDICT_ALLOWED] = WORD("allow"),
			[PS_VERDICT_DROPPED] = WORD("drop"),
		},
	[PS_WORDS_OF(PS_KIND_DIRECTION)] =
		{
			[PS_DIR_INGRESS] = WORD("ingress"),
			[PS_DIR_EGRESS] = WORD("egress"),
			[PS_DIR_INGRESS | PS_DIR_EGRESS] = WORD("both"),
		},
	[PS_WORDS_OF(PS_KIND_MODE)] =
		{
			[PS_DROP_ENFORCED] = WORD("enforce"),
			[PS_DROP_SHADOW] = WORD("shadow"),
		},
};

static bool has_words(enum ps_kind kind)
{
	return kind >= PS_KIND_VIEW && kind <= PS_KIND_MODE;
}

const char *ps_enum_name(enum ps_kind kind, unsigned value)
{
	if (!has_words(kind) || value >= PS_WORD_VALUES || !ps_words[PS_WORDS_OF(kind)][value].len)
		return NULL;
	return ps_words[PS_WORDS_OF(kind)][value].text;
}

int ps_enum_parse(enum ps_kind kind, const char *word, size_t len, uint8_t *ret_value)
{
	for (size_t i = 0; has_words(kind) && i < PS_WORD_VALUES; i++) {
		const struct ps_word *w = &ps_words[PS_WORDS_OF(kind)][i];

		if (w->len && w->len == len && !memcmp(w->text, word, len)) {
			*ret_value = (uint8_t)i;
			return 0;
		}
	}
	return -EINVAL;
}

static const struct {
	const char *word;
	uint8_t proto;
} proto_words[] = {
	{"tcp", IPPROTO_TCP},
	{"udp", IPPROTO_UDP},
	{"icmp", IPPROTO_ICMP},
	{"icmpv6", IPPROTO_ICMPV6},
};

const char *ps_proto_name(uint8_t proto, char buf[static 8])
{
	for (size_t i = 0; i < PS_ARRAY_SIZE(proto_words); i++)
		if (proto_words[i].proto == proto)
			return proto_words[i].word;
	(void)snprintf(buf, 8, "%u", proto);
	return buf;
}

int ps_proto_parse(const char *word, size_t len, uint8_t *ret_proto)
{
	unsigned number = 0;

	for (size_t i = 0; i < PS_ARRAY_SIZE(proto_words); i++) {
		if (strlen(proto_words[i].word) == len && !memcmp(proto_words[i].word, word, len)) {
			*ret_proto = proto_words[i].proto;
			return 0;
		}
	}
	if (!len || len > 3)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		if (word[i] < '0' || word[i] > '9')
			return -EINVAL;
		number = number * 10 + (unsigned)(word[i] - '0');
	}
	if (number > UINT8_MAX)
		return -EINVAL;
	*ret_proto = (uint8_t)number;
	return 0;
}
