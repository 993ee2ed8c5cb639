#include "collector/tc.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/bpf.h>
#include <linux/pkt_sched.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "collector/link.h"
#include "collector/netlink.h"
#include "common/base/cleanup.h"

/* BPF_TCX_EGRESS of Linux 6.6's enum bpf_attach_type; older headers lack it. */
#define PS_BPF_TCX_EGRESS 47

/* The pin kinds. A directory, since bpffs takes no files, says that the qdisc is ours to remove. */
#define PS_PIN_TCX "tc"
#define PS_PIN_QDISC "clsact"

static const char *const mode_names[] = {
	[PS_TC_AUTO] = "auto",
	[PS_TC_TCX] = "tcx",
	[PS_TC_CLSACT] = "clsact",
};

int ps_tc_mode_parse(const char *text, enum ps_tc_mode *ret_mode)
{
	for (int m = PS_TC_AUTO; m <= PS_TC_CLSACT; m++)
		if (strcmp(text, mode_names[m]) == 0) {
			*ret_mode = m;
			return 0;
		}
	return -EINVAL;
}

const char *ps_tc_mode_name(enum ps_tc_mode mode)
{
	return mode_names[mode];
}

bool ps_tc_has_tcx(void)
{
	static const struct bpf_insn pass[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	_cleanup_close_ int prog =
		bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "ps_probe", "GPL", pass, PS_ARRAY_SIZE(pass), NULL);

	if (prog < 0)
		return false;
	/* No interface has this index: a kernel with TCX looks for it, one without does not know the attach type. */
	_cleanup_close_ int link = bpf_link_create(prog, INT32_MAX, (enum bpf_attach_type)PS_BPF_TCX_EGRESS, NULL);

	return link < 0 && errno == ENODEV;
}

static bool ours(const struct bpf_tc_hook *hook)
{
	LIBBPF_OPTS(bpf_tc_opts, q, .handle = PS_CLSACT_HANDLE, .priority = PS_CLSACT_PRIORITY);
	/* libbpf would say on standard error that there is no qdisc: that is an answer, no failure */
	libbpf_print_fn_t print = libbpf_set_print(NULL);
	int r = bpf_tc_query(hook, &q);
	char name[16];

	(void)libbpf_set_print(print);
	return r == 0 && strcmp(ps_link_program_name(q.prog_id, name), PS_TC_PROGRAM) == 0;
}

static int clsact_attach(const struct ps_pins *pins, const char *iface, uint32_t ifindex, int prog_fd,
	bool *ret_replaced, struct ps_error *err)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = prog_fd, .handle = PS_CLSACT_HANDLE, .priority = PS_CLSACT_PRIORITY);
	char path[PS_PIN_NAME];
	int r = bpf_tc_hook_create(&hook);

	if (r == 0)
		(void)mkdir(ps_pins_link(pins, PS_PIN_QDISC, iface, path), 0700);
	else if (r != -EEXIST)
		return ps_error_set(err, r, 500, "no_tc", "iface",
			"Cannot make the clsact qdisc of %s (%s): --ingress-only does without.", iface, strerror(-r));
	*ret_replaced = ours(&hook);
	if (*ret_replaced)
		opts.flags = BPF_TC_F_REPLACE;
	r = bpf_tc_attach(&hook, &opts);
	if (r < 0)
		return ps_error_set(err, r, 500, "no_tc", "iface",
			"Cannot attach to what leaves %s (%s%s): --ingress-only does without.", iface, strerror(-r),
			r == -EEXIST ? "; another filter has our priority" : "");
	return 0;
}

/* True unless it is certain that the qdisc holds no filter. */
static bool has_filters(uint32_t ifindex)
{
	static const uint32_t parents[] = {
		TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS),
		TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS),
	};

	for (size_t i = 0; i < PS_ARRAY_SIZE(parents); i++)
		if (ps_netlink_count_filters(ifindex, parents[i]) != 0)
			return true;
	return false;
}

static int clsact_detach(const struct ps_pins *pins, const char *iface, uint32_t ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = PS_CLSACT_HANDLE, .priority = PS_CLSACT_PRIORITY);
	char path[PS_PIN_NAME];
	int r = 0;

	if (ifindex && ours(&hook)) {
		r = bpf_tc_detach(&hook, &opts);
		if (r < 0)
			return r;
		r = 1;
	}
	if (rmdir(ps_pins_link(pins, PS_PIN_QDISC, iface, path)) == 0 && ifindex && !has_filters(ifindex)) {
		hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
		(void)bpf_tc_hook_destroy(&hook);
	}
	return r;
}

static int tcx_attach(const struct ps_pins *pins, const char *iface, uint32_t ifindex, int prog_fd, bool *ret_replaced,
	struct ps_error *err)
{
	char path[PS_PIN_NAME];
	int r = ps_link_replace(ps_pins_link(pins, PS_PIN_TCX, iface, path), ifindex, prog_fd, err);

	if (r < 0)
		return r;
	*ret_replaced = r == 1;
	if (r == 1)
		return 0;
	r = ps_link_create(path, ifindex, prog_fd, PS_BPF_TCX_EGRESS, 0);
	if (r < 0)
		return ps_error_set(err, r, 500, "no_tc", "iface",
			"Cannot attach to what leaves %s (%s): --ingress-only does without.", iface, strerror(-r));
	return 0;
}

int ps_tc_attach(const struct ps_pins *pins, const char *iface, uint32_t ifindex, int prog_fd, enum ps_tc_mode mode,
	enum ps_tc_mode *ret_mode, bool *ret_replaced, struct ps_error *err)
{
	enum ps_tc_mode use = mode != PS_TC_AUTO ? mode : ps_tc_has_tcx() ? PS_TC_TCX : PS_TC_CLSACT;
	char path[PS_PIN_NAME];
	bool replaced = false;
	int r;

	if (use == PS_TC_TCX) {
		(void)clsact_detach(pins, iface, ifindex);
		r = tcx_attach(pins, iface, ifindex, prog_fd, &replaced, err);
	} else {
		(void)ps_link_remove(ps_pins_link(pins, PS_PIN_TCX, iface, path));
		r = clsact_attach(pins, iface, ifindex, prog_fd, &replaced, err);
	}
	if (r < 0)
		return r;
	*ret_mode = use;
	*ret_replaced = replaced;
	return 0;
}

bool ps_tc_intact(const struct ps_pins *pins, const char *iface, uint32_t ifindex, enum ps_tc_mode mode)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_EGRESS);
	char path[PS_PIN_NAME];
	uint32_t at = 0;

	if (mode == PS_TC_CLSACT)
		return ours(&hook);
	return ps_link_ifindex(ps_pins_link(pins, PS_PIN_TCX, iface, path), &at) == 0 && at == ifindex;
}

int ps_tc_detach(const struct ps_pins *pins, const char *iface, uint32_t ifindex)
{
	char path[PS_PIN_NAME];
	int link = ps_link_remove(ps_pins_link(pins, PS_PIN_TCX, iface, path));
	int filter = clsact_detach(pins, iface, ifindex);

	if (link < 0 || filter < 0)
		return link < 0 ? link : filter;
	return link || filter;
}
