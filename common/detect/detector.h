/*
 * What a detector is, for detect.c: a row of functions over a state of its own. Internal to common/detect/.
 */
#ifndef PS_DETECT_DETECTOR_H
#define PS_DETECT_DETECTOR_H

#include "common/detect/detect.h"
#include "common/detect/incidents.h"
#include "common/detect/sight.h"

struct ps_detector {
	/* config outlives the state. -ENOMEM. */
	int (*create)(const struct ps_detect_config *config, void **ret_state);
	void (*destroy)(void *state); /* NULL is none */
	/* What a record says; NULL: this one does not listen. */
	void (*conn)(void *state, const struct ps_sight *sight);
	void (*icmp)(void *state, const struct ps_icmp *icmp, uint64_t now);
	/* Forgets what is too old and reports what is past its threshold. */
	void (*judge)(void *state, uint64_t now, struct ps_incidents *incidents);
	void (*usage)(const void *state, struct ps_tracks_usage *sum);
};

#define PS_DETECTOR(suffix, name, functions, doc) extern const struct ps_detector ps_detector_##functions;
#include "common/detect/detector.def"

/* Tracks that were touched since the judgement before: all that can have become more. */
static inline bool ps_detect_is_recent(uint64_t touched, uint64_t now)
{
	return touched + 2 * PS_DETECT_TICK_NS > now;
}

/* The time that lies `span` back. */
static inline uint64_t ps_detect_back(uint64_t now, uint64_t span)
{
	return now > span ? now - span : 0;
}

#endif
