/*
 * One capture from its first packet to its last through the pipeline, and what was left out on the way.
 */
#ifndef PS_REPLAY_H
#define PS_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/model/rule.h"
#include "replay/capture.h"
#include "replay/pipeline.h"
#include "replay/progress.h"
#include "replay/settings.h"

/* How the packets of the capture came through. */
struct ps_replay_counts {
	uint64_t packets;      /* read from the file */
	uint64_t replayed;     /* of those, given to the kernel part */
	uint64_t cut;          /* replayed with zero bytes for what the capture's snap length had cut off */
	uint64_t short_frames; /* left out: no whole link or Ethernet header */
	uint64_t long_frames;  /* left out: longer than the kernel takes */
	uint64_t as_ingress;   /* sent by the host, but judged by the ingress program */
	uint64_t late;         /* with a time before an earlier packet's: given that one's */
	bool complete;         /* the file was read to its end */
	double seconds;        /* it took */
};

/* err holds the reason also when counts.complete is false, which is no failure: what was read counts. */
int ps_replay_run(struct ps_capture *capture, struct ps_pipeline *pipeline, const struct ps_local *local,
	struct ps_progress *progress, struct ps_replay_counts *ret_counts, struct ps_error *err);

#endif
