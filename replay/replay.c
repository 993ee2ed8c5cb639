#include "replay/replay.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "replay/limits.h"

/* One packet. -errno only if the machine itself fails. */
static int feed(struct ps_pipeline *pipeline, const struct ps_local *local, enum ps_link link,
	const struct ps_capture_packet *packet, struct ps_frame_out *frame, struct ps_replay_counts *counts,
	struct ps_error *err)
{
	bool late;
	int r;

	counts->packets++;
	r = ps_ethernet_frame(link, packet->data, packet->caplen, packet->wirelen, frame);
	if (r == -EBADMSG)
		counts->short_frames++;
	else if (r < 0)
		counts->long_frames++;
	if (r < 0)
		return 0;
	r = ps_pipeline_frame(pipeline, ps_local_sent(local, frame->data, frame->len), frame->data, frame->len,
		packet->time, &late, err);
	if (r < 0)
		return r;
	if (r == PS_RAN_NOT) {
		counts->long_frames++;
		return 0;
	}
	counts->replayed++;
	counts->as_ingress += r == PS_RAN_INGRESS;
	counts->cut += frame->cut > 0;
	counts->late += late;
	return 0;
}

int ps_replay_run(struct ps_capture *capture, struct ps_pipeline *pipeline, const struct ps_local *local,
	struct ps_progress *progress, struct ps_replay_counts *ret_counts, struct ps_error *err)
{
	_cleanup_free_ uint8_t *room = malloc(PS_REPLAY_FRAME_MAX);
	struct ps_frame_out frame = {.data = room, .room = PS_REPLAY_FRAME_MAX};
	enum ps_link link = ps_capture_link(capture);
	struct ps_replay_counts counts = {.complete = true};
	struct ps_capture_packet packet;
	uint64_t started = ps_clock_boot();
	int r;

	if (!room)
		return -ENOMEM;
	while ((r = ps_capture_next(capture, &packet, err)) > 0) {
		r = feed(pipeline, local, link, &packet, &frame, &counts, err);
		if (r < 0)
			return r;
		if (counts.packets % PS_REPLAY_PROGRESS_PACKETS == 0)
			ps_progress_show(progress, ps_capture_progress(capture), counts.packets);
	}
	if (r < 0)
		counts.complete = false;
	r = ps_pipeline_finish(pipeline, err);
	counts.seconds = (double)(ps_clock_boot() - started) / (double)PS_NSEC;
	if (r == 0)
		*ret_counts = counts;
	return r;
}
