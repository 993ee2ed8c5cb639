/*
 * Taking the kernel part off again: from every interface that this pin root holds, and on request the maps with all
 * that is in them. Idempotent.
 */
#ifndef PS_DETACH_H
#define PS_DETACH_H

#include <stdbool.h>

#include "collector/pins.h"
#include "common/base/error.h"

/* Told of each thing that was removed: "XDP program from eth0". */
typedef void (*ps_detach_fn)(void *arg, const char *what);

/*
 * No collector may run on the pin root (see lock.h). Goes on after a failure, returns the first; what an interface in
 * another network namespace holds goes as well, except a clsact filter. fn may be NULL.
 */
int ps_detach_all(const struct ps_pins *pins, bool purge, ps_detach_fn fn, void *arg, struct ps_error *err);

#endif
