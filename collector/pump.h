/*
 * From the rings to the bus, at a pace: asleep until a ring has something, then a look once every PS_PACE_NS until the
 * rings are empty and nothing waits to be sent. While little comes, a look once every PS_BUS_DELAY_NS, which sends all.
 *
 * While the pump paces, nobody waits on the rings, so the kernel's producers need not wake anyone for each event;
 * at rest it costs nothing. A ring that fills faster than that is read again at once.
 */
#ifndef PS_PUMP_H
#define PS_PUMP_H

#include "collector/publish.h"
#include "common/bus/loop.h"
#include "common/model/record.h"

struct ps_pump;

/* fds: the rings, of `bytes` each; all pointers must outlive the pump. `env` may be changed between events. */
int ps_pump_new(struct ps_loop *loop, const int *fds, size_t n, size_t bytes, struct ps_publish *publish,
	const struct ps_record_env *env, struct ps_pump **ret_pump, struct ps_error *err);
void ps_pump_free(struct ps_pump **pump);

/* Takes what is in the rings now and sends all of it: before the end. */
void ps_pump_finish(struct ps_pump *pump);

#endif
