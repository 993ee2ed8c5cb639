/*
 * Messages of the collector's feed, made by hand: records go through the real encoder.
 */
#ifndef PS_TEST_FEED_MESSAGE_H
#define PS_TEST_FEED_MESSAGE_H

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/bus/bus.h"
#include "common/codec/batch.h"

struct feed_message {
	struct ps_batch batch;
	struct ps_message m;
};

static inline void feed_begin(struct feed_message *f, enum ps_topic topic, uint64_t epoch, uint64_t seq)
{
	const struct ps_schema *schema = &ps_schemas[ps_topic_record(topic)];
	struct ps_value *fields = ps_value_list();

	memset(f, 0, sizeof(*f));
	for (size_t i = 0; i < schema->n_fields; i++)
		(void)ps_value_append(fields, ps_value_string(schema->fields[i].name));
	f->m.header = ps_value_map();
	(void)ps_value_set(f->m.header, "fields", fields);
	f->m.topic = topic;
	f->m.epoch = epoch;
	f->m.seq = seq;
	ps_batch_init(&f->batch, ps_topic_record(topic));
}

static inline struct ps_message *feed_end(struct feed_message *f)
{
	ps_batch_payload(&f->batch, &f->m.payload, &f->m.payload_len);
	f->m.n = f->batch.n;
	return &f->m;
}

static inline void feed_free(struct feed_message *f)
{
	ps_value_free(&f->m.header);
	ps_batch_free(&f->batch);
}

#endif
