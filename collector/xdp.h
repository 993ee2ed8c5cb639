/*
 * The ingress hook: an XDP link of one interface, native where the driver can, else generic.
 */
#ifndef PS_XDP_H
#define PS_XDP_H

#include <stdint.h>

#include "collector/pins.h"
#include "common/base/error.h"

#define PS_XDP_PROGRAM "ps_xdp"

enum ps_xdp_mode {
	PS_XDP_AUTO, /* native, then generic */
	PS_XDP_NATIVE,
	PS_XDP_GENERIC,
	PS_XDP_OFFLOAD, /* only ever seen, never asked for */
};

/* "auto", "native", "generic"; -EINVAL. */
int ps_xdp_mode_parse(const char *text, enum ps_xdp_mode *ret_mode);
const char *ps_xdp_mode_name(enum ps_xdp_mode mode);

/* What is on an interface now. */
struct ps_xdp_state {
	uint32_t prog_id; /* 0 = nothing */
	char prog_name[16];
	enum ps_xdp_mode mode;
};
int ps_xdp_query(uint32_t ifindex, struct ps_xdp_state *ret_state);

/*
 * May we attach? 0: the interface is free, or holds the link pinned here. -EBUSY fills err with whose program is there
 * and how to proceed (409; code "xdp_held", or "xdp_leftover" for a program of ours that this pin root does not hold).
 */
int ps_xdp_check(const struct ps_pins *pins, const char *iface, uint32_t ifindex, struct ps_error *err);

struct ps_xdp_result {
	enum ps_xdp_mode mode;
	int native_error; /* -errno that made AUTO fall back; 0 = it did not */
	bool replaced;    /* the program of a living link was replaced */
};

/*
 * Attaches prog_fd, or puts it in the place of the program of the pinned link. A mode other than that of the living
 * link makes a new link. Errors as ps_xdp_check; others (500, "no_xdp").
 */
int ps_xdp_attach(const struct ps_pins *pins, const char *iface, uint32_t ifindex, int prog_fd, enum ps_xdp_mode mode,
	struct ps_xdp_result *ret_result, struct ps_error *err);

/* 1 = removed, 0 = there was none, -errno. Needs no interface. */
int ps_xdp_detach(const struct ps_pins *pins, const char *iface);

#endif
