/*
 * The egress hook: TCX (Linux 6.6) as a pinned link; before that a filter on the clsact qdisc, which stays by itself
 * and is replaced in place.
 */
#ifndef PS_TC_H
#define PS_TC_H

#include <stdbool.h>
#include <stdint.h>

#include "collector/pins.h"
#include "common/base/error.h"

#define PS_TC_PROGRAM "ps_tc_egress"

enum ps_tc_mode {
	PS_TC_AUTO, /* TCX if the kernel has it */
	PS_TC_TCX,
	PS_TC_CLSACT,
};

/* "auto", "tcx", "clsact"; -EINVAL. */
int ps_tc_mode_parse(const char *text, enum ps_tc_mode *ret_mode);
const char *ps_tc_mode_name(enum ps_tc_mode mode);

/* Does the kernel have TCX? Asks it with a link that cannot be; needs CAP_NET_ADMIN and CAP_BPF, without them false. */
bool ps_tc_has_tcx(void);

/*
 * Attaches prog_fd to what leaves the interface, or puts it in the place of ours that is there; removes ours from the
 * other kind of hook, so that no packet is counted twice. *ret_mode: TCX or CLSACT. -errno fills err (code "no_tc").
 */
int ps_tc_attach(const struct ps_pins *pins, const char *iface, uint32_t ifindex, int prog_fd, enum ps_tc_mode mode,
	enum ps_tc_mode *ret_mode, bool *ret_replaced, struct ps_error *err);

/* Is our program still on that kind of hook (TCX or CLSACT) of the interface? */
bool ps_tc_intact(const struct ps_pins *pins, const char *iface, uint32_t ifindex, enum ps_tc_mode mode);

/*
 * Removes our program from both kinds of hook. ifindex 0: the interface is gone, only its pins are left. The clsact
 * qdisc goes too if we made it and no filter of someone else sits on it. 1 = something was removed, 0 = nothing was
 * there, -errno.
 */
int ps_tc_detach(const struct ps_pins *pins, const char *iface, uint32_t ifindex);

#endif
