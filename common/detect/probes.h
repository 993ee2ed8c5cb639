/*
 * Attempts that wait for an answer, and those that got none: the one for the grace, the other for the window. An
 * attempt is what its key says, so trying the same again is no other attempt. Pure; internal to common/detect/.
 */
#ifndef PS_DETECT_PROBES_H
#define PS_DETECT_PROBES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/detect/finding.h"
#include "common/detect/tracks.h"

struct ps_probes;

/* An attempt at `when` has failed; or (failed = false) one that had is forgotten or was answered after all. */
typedef void (*ps_probe_fn)(void *arg, const struct ps_track_key *key, bool failed, uint64_t when);

/* limit: of those that wait, and of those that failed. -ENOMEM. */
int ps_probes_new(size_t limit, ps_probe_fn fn, void *arg, struct ps_probes **ret_probes);
void ps_probes_free(struct ps_probes **probes);

/* connection: to cite; 0 = none. */
void ps_probes_sent(struct ps_probes *p, const struct ps_track_key *key, uint64_t connection, uint64_t now);
void ps_probes_answered(struct ps_probes *p, const struct ps_track_key *key);

/* Time passes: fn is told. */
void ps_probes_tick(struct ps_probes *p, uint64_t now, uint64_t grace, uint64_t window);

/* Cites connections of a source's failed attempts, the newest first. */
void ps_probes_cite(const struct ps_probes *p, const struct ps_addr *source, struct ps_finding *draft);

void ps_probes_usage(const struct ps_probes *p, struct ps_tracks_usage *sum);

#endif
