/*
 * Removes the kernel part: runs `packetscope-collector --detach --purge` to its end. Counters go with it; the rules are
 * in the state directory.
 */
#ifndef PS_DETACH_H
#define PS_DETACH_H

#include "cli/settings.h"
#include "common/base/error.h"

int ps_cli_detach(const struct ps_settings *s, struct ps_error *err);

#endif
