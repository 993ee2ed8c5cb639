/*
 * The interfaces that are watched: attached at start, and again whenever one comes back.
 *
 * An interface that is not there is waited for. When one goes, its pins go; when one of the name appears, it is
 * attached. Links that a person removed by hand come back within PS_VERIFY_TICKS. Logs what it does: most of it happens
 * long after start.
 */
#ifndef PS_WATCH_H
#define PS_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "collector/maps.h"
#include "collector/pins.h"
#include "collector/tc.h"
#include "collector/xdp.h"
#include "common/base/error.h"
#include "common/model/schema.h"

struct ps_watch;

struct ps_watch_config {
	const char *names; /* "eth0,eth1" */
	enum ps_xdp_mode xdp_mode;
	enum ps_tc_mode tc_mode;
	bool ingress_only;
	int xdp_prog, tc_prog; /* descriptors; the caller's, must outlive the object */
};

/* Reads the names; touches nothing. -EINVAL (field "iface"): none, a bad one, one twice, more than PS_IFACES_MAX. */
int ps_watch_new(const struct ps_watch_config *config, const struct ps_pins *pins, const struct ps_maps *maps,
	struct ps_watch **ret_watch, struct ps_error *err);
void ps_watch_free(struct ps_watch **watch); /* links stay */

/*
 * Attaches all that are there and removes the links of interfaces that are no longer asked for. If one refuses, those
 * attached by this call are detached again, and -errno says why: -EBUSY for another's XDP program.
 */
int ps_watch_start(struct ps_watch *watch, struct ps_error *err);

/* Readable when interfaces have changed: call ps_watch_read. Valid after start. */
int ps_watch_fd(const struct ps_watch *watch);
void ps_watch_read(struct ps_watch *watch);

/* Once a second: tries again what failed, and now and then looks whether the links are still there. */
void ps_watch_tick(struct ps_watch *watch);

/* ps_record_env's iface_name; arg is the ps_watch. */
const char *ps_watch_name(void *arg, uint32_t ifindex, char out[static PS_NAME_SIZE]);

/* Interfaces that are attached now, of those asked for. */
unsigned ps_watch_attached(const struct ps_watch *watch, unsigned *ret_wanted);

#endif
