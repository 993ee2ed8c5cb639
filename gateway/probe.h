/*
 * Is a part there that answers no requests? The collector only publishes: whether a process listens on its socket says
 * so, and which.
 */
#ifndef PS_PROBE_H
#define PS_PROBE_H

#include <stdint.h>

/*
 * Knocks at an ipc:// endpoint without waiting and without saying anything. 0 and the listener's process id (0 when it
 * is of another process namespace). -ECONNREFUSED, -ENOENT: nobody there. -EAGAIN: somebody who takes no connection any
 * more. -EINVAL: not ipc.
 */
int ps_probe(const char *endpoint, int64_t *ret_pid);

#endif
