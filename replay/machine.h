/*
 * The kernel part for one capture: loaded from the program itself with maps of its own, nothing attached, nothing
 * pinned. Frames go in one by one through BPF_PROG_TEST_RUN, with the time that the capture gives them.
 */
#ifndef PS_REPLAY_MACHINE_H
#define PS_REPLAY_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aggregator/kernel.h"
#include "collector/rings.h"
#include "common/base/buf.h"
#include "common/base/error.h"

struct ps_machine;

/*
 * Loads the kernel part with a table for max_connections; its events go to fn when ps_machine_drain is called. The
 * calling thread stays on its present CPU from then on, so that all events are in one ring, in order. On failure `log`
 * gets what libbpf said. -EPERM: not privileged.
 */
int ps_machine_new(uint32_t max_connections, ps_rings_fn fn, void *arg, struct ps_machine **ret_machine,
	struct ps_buf *log, struct ps_error *err);
void ps_machine_free(struct ps_machine **machine);

/* The kernel's tables, and the reads that cost a system call: good until the machine is freed. */
const struct ps_kernel *ps_machine_kernel(const struct ps_machine *machine);
struct ps_kernel_view *ps_machine_view(struct ps_machine *machine);

/* The time of the frames to come, ns. */
void ps_machine_clock(struct ps_machine *machine, uint64_t now);

enum ps_ran {
	PS_RAN,         /* by the hook that was asked for */
	PS_RAN_INGRESS, /* egress was asked for, but the kernel makes no such packet: the ingress program took it */
	PS_RAN_NOT,     /* the kernel takes no such frame at all: too short or too long for it */
};

/* Runs one Ethernet frame. Returns enum ps_ran, or -errno when the machine itself fails. */
int ps_machine_run(struct ps_machine *machine, bool egress, const uint8_t *frame, size_t len, struct ps_error *err);

/* Hands over every event there is. */
void ps_machine_drain(struct ps_machine *machine);

#endif
