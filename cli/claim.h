/*
 * One `packetscope up` a run directory, and no parts of an earlier one beside it.
 *
 * Two locked files tell: up.lock is held by the `up` that runs and names its process; parts.lock is also held by every
 * part, since it is open in them, so it is free only when the last part of an earlier `up` has gone, however that one
 * ended. It lists the parts, so that one which refuses to go can be stopped.
 */
#ifndef PS_CLAIM_H
#define PS_CLAIM_H

#include <sys/types.h>

#include "common/base/error.h"

struct ps_claim;

/*
 * Makes the run directory if it is missing, takes both locks and tells the parts of an earlier `up` that was killed to
 * leave (they have gone on without it); after PS_UP_ORPHANS_MS they are killed. -EWOULDBLOCK fills err (409,
 * "already_running"): another `up` runs, and which.
 */
int ps_claim_take(const char *run_dir, struct ps_claim **ret_claim, struct ps_error *err);

/* Remembers the process of a part. Best effort: without it a part that hangs after a kill of `up` must be killed by
 * hand. */
void ps_claim_part(struct ps_claim *claim, const char *name, pid_t pid);

/* Gives both up and removes the files. */
void ps_claim_release(struct ps_claim **claim);

/* The process that holds up.lock, or 0. */
pid_t ps_claim_holder(const char *run_dir);

#endif
