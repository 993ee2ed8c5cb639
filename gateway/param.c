#include "gateway/param.h"

#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/detect/limits.h"
#include "common/model/utf8.h"
#include "gateway/limits.h"

#define TEXT(n, m, d) \
	{ \
		.name = n, .kind = PS_PARAM_TEXT, .max = m, .doc = d \
	}
#define WORD(n, w, d) \
	{ \
		.name = n, .kind = PS_PARAM_WORD, .words = w, .doc = d \
	}
#define NUMBER(n, lo, hi, d) \
	{ \
		.name = n, .kind = PS_PARAM_NUMBER, .min = lo, .max = hi, .doc = d \
	}
#define BOOL(n, d) \
	{ \
		.name = n, .kind = PS_PARAM_BOOL, .doc = d \
	}
#define END \
	{ \
		.name = NULL \
	}

#define TEXT_MAX 256      /* bytes of a search text or cursor */
#define NAME_MAX_BYTES 64 /* of a word that only the other part knows: a field, a state, an address */

const struct ps_param ps_params_connections[] = {
	NUMBER("limit", 1, PS_LIST_MAX, "Elements of the answer; of a file: all if it is missing"),
	TEXT("cursor", TEXT_MAX, "Where to go on, from the Link header of the answer before"),
	NUMBER("offset", 0, PS_LIST_OFFSET_MAX, "Elements to leave out before the first one"),
	TEXT("sort", NAME_MAX_BYTES, "Name of the field to sort by"),
	WORD("order", "asc,desc", "Direction of the order"),
	TEXT("proto", NAME_MAX_BYTES, "tcp, udp or a protocol number"),
	TEXT("state", NAME_MAX_BYTES, "State of the connection"),
	TEXT("ip", NAME_MAX_BYTES, "Address of either end"),
	NUMBER("port", 0, 65535, "Port of either end"),
	TEXT("q", TEXT_MAX, "Text that the key contains"),
	BOOL("ended", "Recently ended connections too"),
	WORD("format", "json,ndjson,csv", "As a file: all that match, streamed, in no order unless sort is given"),
	END,
};

const struct ps_param ps_params_icmp[] = {
	NUMBER("limit", 1, PS_LIST_MAX, "Elements of the answer"),
	TEXT("cursor", TEXT_MAX, "Where to go on, from the Link header of the answer before"),
	END,
};

const struct ps_param ps_params_top[] = {
	NUMBER("limit", 1, 200, "Hosts, services and flows in the answer, of each; people read twenty"),
	WORD("by", "bytes,packets,connections", "What to sort by"),
	NUMBER("active", 0, 86400, "Only connections with a packet in the last so many seconds; 0 = all"),
	BOOL("ended", "Recently ended connections too"),
	END,
};

const struct ps_param ps_params_events[] = {
	TEXT("topics", TEXT_MAX, "Topics, separated by commas"),
	TEXT("proto", NAME_MAX_BYTES, "Records of this protocol only"),
	TEXT("ip", NAME_MAX_BYTES, "Records with this address at either end only"),
	NUMBER("port", 0, 65535, "Records with this port at either end only"),
	END,
};

#define FORCE BOOL("force", "Also when it cuts off the caller, an SSH session or a protected network")
#define CONFIRM \
	NUMBER("confirm_within", 1, PS_RULE_CONFIRM_MAX, "Undone after so many seconds, unless it is confirmed before")

const struct ps_param ps_params_change[] = {FORCE, CONFIRM, END};

const struct ps_param ps_params_replace[] = {
	FORCE,
	CONFIRM,
	BOOL("dry_run", "Check everything, change nothing"),
	END,
};

const struct ps_param ps_params_import[] = {
	WORD("action", "drop,allow", "Of every rule made from a list"),
	WORD("direction", "ingress,egress,both", "Of every rule made from a list"),
	WORD("mode", "enforce,shadow", "Of every rule made from a list"),
	NUMBER("priority", 0, PS_RULE_PRIORITY_MAX, "Of every rule made from a list"),
	NUMBER("ttl", 1, PS_RULE_TTL_MAX, "Seconds until they stop matching"),
	TEXT("comment", PS_RULE_COMMENT_MAX, "Of every rule made from a list"),
	BOOL("enabled", "Whether they are in force at once; true if it is missing"),
	FORCE,
	CONFIRM,
	END,
};

const struct ps_param ps_params_export[] = {
	WORD("format", "json,list",
		"json: an array as PUT takes it; list: source addresses, one a line, as import takes it"),
	END,
};

const struct ps_param ps_params_findings[] = {
	NUMBER("limit", 1, PS_INCIDENTS_MAX, "Findings in the answer"),
	BOOL("open", "Only incidents that are still going on"),
	END,
};

const struct ps_param ps_params_generate[] = {
	BOOL("async", "Answer at once with a job to ask for"),
	END,
};

static int read_number(const struct ps_param *p, const char *text, uint64_t *ret_n, struct ps_error *err)
{
	size_t len = strspn(text, "0123456789");
	uint64_t n = 0;

	for (size_t i = 0; i < len && len <= 18; i++)
		n = n * 10 + (uint64_t)(text[i] - '0');
	if (!len || text[len] || len > 18 || n < p->min || n > p->max) {
		return ps_error_set(err, -EINVAL, 400, "bad_value", p->name,
			"%s must be a number from %llu to %llu, not \"%.32s\".", p->name, (unsigned long long)p->min,
			(unsigned long long)p->max, text);
	}
	*ret_n = n;
	return 0;
}

static bool is_word(const char *words, const char *text)
{
	size_t len = strlen(text);

	for (const char *p = words; *p;) {
		size_t n = strcspn(p, ",");

		if (n == len && !memcmp(p, text, n))
			return true;
		p += n + (p[n] == ',');
	}
	return false;
}

static int read_param(const struct ps_param *p, const char *text, struct ps_value **ret_value, struct ps_error *err)
{
	uint64_t n = 0;
	int r;

	switch (p->kind) {
	case PS_PARAM_NUMBER:
		r = read_number(p, text, &n, err);
		if (r < 0)
			return r;
		*ret_value = ps_value_uint(n);
		break;
	case PS_PARAM_BOOL:
		if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0 && strcmp(text, "1") != 0 &&
			strcmp(text, "0") != 0)
			return ps_error_set(err, -EINVAL, 400, "bad_value", p->name,
				"%s must be true or false, not \"%.32s\".", p->name, text);
		*ret_value = ps_value_bool(!strcmp(text, "true") || !strcmp(text, "1"));
		break;
	case PS_PARAM_WORD:
		if (!is_word(p->words, text))
			return ps_error_set(err, -EINVAL, 400, "bad_value", p->name,
				"%s must be one of %s, not \"%.32s\".", p->name, p->words, text);
		*ret_value = ps_value_string(text);
		break;
	case PS_PARAM_TEXT:
		if (!ps_utf8_valid(text, strlen(text)))
			return ps_error_set(err, -EINVAL, 400, "bad_value", p->name, "%s is not UTF-8.", p->name);
		if (strlen(text) > p->max)
			return ps_error_set(err, -EINVAL, 400, "bad_value", p->name, "%s may have at most %llu bytes.",
				p->name, (unsigned long long)p->max);
		*ret_value = ps_value_string(text);
		break;
	}
	return *ret_value ? 0 : -ENOMEM;
}

static const struct ps_param *find_param(const struct ps_param *table, const char *name)
{
	for (; table->name; table++) {
		if (!strcmp(table->name, name))
			return table;
	}
	return NULL;
}

int ps_params_read(
	const struct ps_param *table, const struct ps_query *query, struct ps_value **ret_args, struct ps_error *err)
{
	_cleanup_(ps_value_free) struct ps_value *args = ps_value_map();

	if (!args)
		return -ENOMEM;
	for (size_t i = 0; i < query->n; i++) {
		const struct ps_param *p = find_param(table, query->item[i].name);
		struct ps_value *value = NULL;
		int r;

		if (!p)
			return ps_error_set(err, -EINVAL, 400, "unknown_parameter", query->item[i].name,
				"There is no query parameter %.32s here.", query->item[i].name);
		if (!query->item[i].value[0])
			continue; /* "?q=" asks for nothing */
		r = read_param(p, query->item[i].value, &value, err);
		if (r == 0)
			r = ps_value_set(args, p->name, value);
		if (r < 0)
			return r;
	}
	*ret_args = PS_TAKE(args);
	return 0;
}
