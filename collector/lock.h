/*
 * One collector a pin root, and one a run directory: two would take each other's events, and bind each other's sockets.
 *
 * Both locks are flock(2)s, so they end with the process however it ends. The pin root is locked as a directory, which
 * also holds between containers that share it; the run directory has a file with the owner's process id.
 */
#ifndef PS_LOCK_H
#define PS_LOCK_H

#include "common/base/error.h"

struct ps_lock_held;

/*
 * Makes the run directory (0755) if it is missing. Both must exist for the lock; a pin root that does not is not
 * locked. -EWOULDBLOCK fills err (409, "already_running").
 */
int ps_lock_take(const char *run_dir, const char *pin_root, struct ps_lock_held **ret_lock, struct ps_error *err);
void ps_lock_release(struct ps_lock_held **lock);

#endif
