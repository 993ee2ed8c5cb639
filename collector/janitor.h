/*
 * The other half of "leave programs in the kernel": for containers, where a collector that is told to stop cannot know
 * whether it will be started again or all of it is being taken down.
 *
 * A janitor runs beside the collector, is started before it and stopped after it. When it is told to stop and no
 * collector has come back a few seconds later, it takes the programs off the interfaces. The maps stay, with counters
 * and rules, for the next start.
 */
#ifndef PS_JANITOR_H
#define PS_JANITOR_H

#include "collector/collector.h"

/* Waits for SIGINT or SIGTERM, then cleans up unless settings->keep_on_exit. */
enum ps_exit ps_janitor_run(const struct ps_settings *settings);

#endif
