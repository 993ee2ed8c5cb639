/* See schema.h. */
#include "common/model/schema.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "bpf/abi.h"
#include "common/base/cleanup.h"

static const struct ps_field conn_fields[] = {
#define PS_CONN(name, kind, doc) {#name, PS_KIND_##kind, offsetof(struct ps_conn, name), doc},
#include "common/model/schema.def"
};

static const struct ps_field icmp_fields[] = {
#define PS_ICMP(name, kind, doc) {#name, PS_KIND_##kind, offsetof(struct ps_icmp, name), doc},
#include "common/model/schema.def"
};

static const struct ps_field drop_fields[] = {
#define PS_DROP(name, kind, doc) {#name, PS_KIND_##kind, offsetof(struct ps_drop, name), doc},
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

struct words {
	const char *const *word; /* by value; NULL = none */
	size_t n;
};

static const char *const view_words[] = {[PS_VIEW_BOTH] = "both", [PS_VIEW_INGRESS] = "ingress"};

static const char *const state_words[] = {
	[PS_TCP_SYN_SENT] = "syn_sent",
	[PS_TCP_SYN_RECV] = "syn_recv",
	[PS_TCP_ESTABLISHED] = "established",
	[PS_TCP_FIN_WAIT] = "fin_wait",
	[PS_TCP_CLOSE_WAIT] = "close_wait",
	[PS_TCP_LAST_ACK] = "last_ack",
	[PS_TCP_TIME_WAIT] = "time_wait",
	[PS_TCP_CLOSE] = "close",
	[PS_STATE_UNREPLIED] = "unreplied",
	[PS_STATE_REPLIED] = "replied",
};

static const char *const end_words[] = {
	[PS_END_FIN] = "fin",
	[PS_END_RST] = "rst",
	[PS_END_TIMEOUT] = "timeout",
	[PS_END_EVICTED] = "evicted",
	[PS_END_DETACHED] = "detached",
};

static const char *const verdict_words[] = {
	[PS_VERDICT_NONE] = "pass",
	[PS_VERDICT_ALLOWED] = "allow",
	[PS_VERDICT_DROPPED] = "drop",
};

static const char *const direction_words[] = {
	[PS_DIR_INGRESS] = "ingress",
	[PS_DIR_EGRESS] = "egress",
	[PS_DIR_INGRESS | PS_DIR_EGRESS] = "both",
};

static const char *const mode_words[] = {
	[PS_DROP_ENFORCED] = "enforce",
	[PS_DROP_SHADOW] = "shadow",
};

static struct words words_of(enum ps_kind kind)
{
	switch (kind) {
	case PS_KIND_VIEW:
		return (struct words){view_words, PS_ARRAY_SIZE(view_words)};
	case PS_KIND_STATE:
		return (struct words){state_words, PS_ARRAY_SIZE(state_words)};
	case PS_KIND_END:
		return (struct words){end_words, PS_ARRAY_SIZE(end_words)};
	case PS_KIND_VERDICT:
		return (struct words){verdict_words, PS_ARRAY_SIZE(verdict_words)};
	case PS_KIND_DIRECTION:
		return (struct words){direction_words, PS_ARRAY_SIZE(direction_words)};
	case PS_KIND_MODE:
		return (struct words){mode_words, PS_ARRAY_SIZE(mode_words)};
	default:
		return (struct words){NULL, 0};
	}
}

const char *ps_enum_name(enum ps_kind kind, unsigned value)
{
	struct words w = words_of(kind);

	return value < w.n ? w.word[value] : NULL;
}

int ps_enum_parse(enum ps_kind kind, const char *word, size_t len, uint8_t *ret_value)
{
	struct words w = words_of(kind);

	for (size_t i = 0; i < w.n; i++) {
		/* nearly all others are told by their first letter */
		if (len && w.word[i] && w.word[i][0] == word[0] && strlen(w.word[i]) == len &&
			!memcmp(w.word[i], word, len)) {
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
