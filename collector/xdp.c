#include "collector/xdp.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <linux/if_link.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "collector/link.h"

static const char *const mode_names[] = {
	[PS_XDP_AUTO] = "auto",
	[PS_XDP_NATIVE] = "native",
	[PS_XDP_GENERIC] = "generic",
	[PS_XDP_OFFLOAD] = "offload",
};

int ps_xdp_mode_parse(const char *text, enum ps_xdp_mode *ret_mode)
{
	for (int m = PS_XDP_AUTO; m <= PS_XDP_GENERIC; m++)
		if (strcmp(text, mode_names[m]) == 0) {
			*ret_mode = m;
			return 0;
		}
	return -EINVAL;
}

const char *ps_xdp_mode_name(enum ps_xdp_mode mode)
{
	return mode_names[mode];
}

int ps_xdp_query(uint32_t ifindex, struct ps_xdp_state *ret_state)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, q);
	struct ps_xdp_state s = {0};
	int r = bpf_xdp_query((int)ifindex, 0, &q);

	if (r < 0)
		return r;
	/* With several attached, prog_id stays empty and each mode has its own. */
	s.prog_id = q.prog_id ?: q.hw_prog_id ?: q.drv_prog_id ?: q.skb_prog_id;
	s.mode = q.hw_prog_id ? PS_XDP_OFFLOAD : q.drv_prog_id ? PS_XDP_NATIVE : PS_XDP_GENERIC;
	if (s.prog_id)
		(void)ps_link_program_name(s.prog_id, s.prog_name);
	*ret_state = s;
	return 0;
}

static int held(const char *iface, const struct ps_pins *pins, const struct ps_xdp_state *s, struct ps_error *err)
{
	if (strcmp(s->prog_name, PS_XDP_PROGRAM) == 0)
		return ps_error_set(err, -EBUSY, 409, "xdp_leftover", "iface",
			"%s already runs a program of Packet Scope (id %u) that %s does not hold: run 'packetscope "
			"detach' with the "
			"--pin-root it was started with, or, if it was attached by hand, 'ip link set dev %s xdp off'.",
			iface, s->prog_id, pins->links, iface);
	return ps_error_set(err, -EBUSY, 409, "xdp_held", "iface",
		"%s holds the XDP program '%s' (id %u, %s) of someone else: stop what uses it, or remove it with 'ip "
		"link set "
		"dev %s xdp%s off', or choose another interface.",
		iface, s->prog_name, s->prog_id, ps_xdp_mode_name(s->mode), iface,
		s->mode == PS_XDP_GENERIC ? "generic" : "");
}

int ps_xdp_check(const struct ps_pins *pins, const char *iface, uint32_t ifindex, struct ps_error *err)
{
	char path[PS_PIN_NAME];
	struct ps_xdp_state s;
	uint32_t at;
	int r;

	if (ps_link_ifindex(ps_pins_link(pins, "xdp", iface, path), &at) == 0 && at == ifindex)
		return 0;
	r = ps_xdp_query(ifindex, &s);
	if (r < 0)
		return ps_error_set(
			err, r, 500, "no_xdp", "iface", "Cannot ask %s for its XDP program: %s.", iface, strerror(-r));
	return s.prog_id ? held(iface, pins, &s, err) : 0;
}

static int explain(int r, const char *iface, enum ps_xdp_mode mode, struct ps_error *err)
{
	const char *what = r == -EPERM ? ": it takes CAP_NET_ADMIN, CAP_BPF and CAP_PERFMON"
			   : mode == PS_XDP_NATIVE
				   ? ": its driver may not support XDP; --xdp-mode generic works everywhere"
				   : "";

	return ps_error_set(err, r, 500, "no_xdp", "iface", "Cannot attach to %s in %s mode (%s)%s.", iface,
		ps_xdp_mode_name(mode), strerror(-r), what);
}

/* Errors that another mode would meet as well. */
static bool final(int r)
{
	return r == 0 || r == -EBUSY || r == -EEXIST || r == -EPERM || r == -ENODEV || r == -ENOMEM;
}

static int attach_new(const struct ps_pins *pins, const char *iface, uint32_t ifindex, int prog_fd,
	enum ps_xdp_mode mode, struct ps_xdp_result *ret, struct ps_error *err)
{
	enum ps_xdp_mode used = mode == PS_XDP_AUTO ? PS_XDP_NATIVE : mode;
	char path[PS_PIN_NAME];
	int native = 0;
	int r = ps_xdp_check(pins, iface, ifindex, err);

	if (r < 0)
		return r;
	(void)ps_pins_link(pins, "xdp", iface, path);
	r = ps_link_create(
		path, ifindex, prog_fd, BPF_XDP, used == PS_XDP_NATIVE ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE);
	if (mode == PS_XDP_AUTO && !final(r)) {
		native = r;
		used = PS_XDP_GENERIC;
		r = ps_link_create(path, ifindex, prog_fd, BPF_XDP, XDP_FLAGS_SKB_MODE);
	}
	if (r < 0)
		return explain(r, iface, used, err);
	*ret = (struct ps_xdp_result){.mode = used, .native_error = native};
	return 0;
}

int ps_xdp_attach(const struct ps_pins *pins, const char *iface, uint32_t ifindex, int prog_fd, enum ps_xdp_mode mode,
	struct ps_xdp_result *ret_result, struct ps_error *err)
{
	char path[PS_PIN_NAME];
	struct ps_xdp_state s = {0};
	int r = ps_xdp_query(ifindex, &s);

	if (r < 0)
		return explain(r, iface, mode, err);
	(void)ps_pins_link(pins, "xdp", iface, path);
	if (s.prog_id && mode != PS_XDP_AUTO && mode != s.mode) {
		/* The mode of a link is fixed: make a new one, if this one is ours. */
		r = ps_xdp_check(pins, iface, ifindex, err);
		if (r == 0)
			r = ps_link_remove(path);
		if (r < 0)
			return r;
	} else {
		r = ps_link_replace(path, ifindex, prog_fd, err);
		if (r < 0)
			return r;
		if (r == 1) {
			*ret_result = (struct ps_xdp_result){.mode = s.mode, .replaced = true};
			return 0;
		}
	}
	return attach_new(pins, iface, ifindex, prog_fd, mode, ret_result, err);
}

int ps_xdp_detach(const struct ps_pins *pins, const char *iface)
{
	char path[PS_PIN_NAME];

	return ps_link_remove(ps_pins_link(pins, "xdp", iface, path));
}
