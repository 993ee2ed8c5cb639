/*
 * Does a collector work on this pin root? It writes the time into the pinned ledger once a second, and zero when it
 * ends in order: that says more than a process that exists.
 */
#ifndef PS_ALIVE_H
#define PS_ALIVE_H

#include "collector/pins.h"
#include "common/base/error.h"

/* 0 = yes. -errno fills err: no maps, ended, or silent for more than PS_COLLECTOR_SILENT_S seconds. */
int ps_alive(const struct ps_pins *pins, struct ps_error *err);

#endif
