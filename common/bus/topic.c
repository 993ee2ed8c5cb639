#include <errno.h>
#include <string.h>

#include "common/bus/bus.h"

static const struct {
	const char *name;
	enum ps_record_type record;
	uint64_t hold;
} topics[PS_TOPICS] = {
#define PS_TOPIC(suffix, word, type, ns, doc) [PS_TOPIC_##suffix] = {.name = word, .record = type, .hold = ns},
#include "common/bus/topic.def"
};

#define PS_TOPIC(suffix, word, type, ns, doc) \
	_Static_assert(sizeof(word) <= PS_BUS_TOPIC_MAX, "the name of topic " #suffix " is too long");
#include "common/bus/topic.def"
_Static_assert(PS_TOPICS <= 32, "a set of topics is a uint32_t");

const char *ps_topic_name(enum ps_topic t)
{
	return topics[t].name;
}

enum ps_record_type ps_topic_record(enum ps_topic t)
{
	return topics[t].record;
}

uint64_t ps_topic_hold(enum ps_topic t)
{
	return topics[t].hold;
}

int ps_topic_parse(const char *name, size_t len, enum ps_topic *ret_topic)
{
	for (int t = 0; t < PS_TOPICS; t++) {
		if (strlen(topics[t].name) == len && memcmp(topics[t].name, name, len) == 0) {
			*ret_topic = (enum ps_topic)t;
			return 0;
		}
	}
	return -EINVAL;
}
