#include "collector/host.h"

#include <linux/capability.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bpf/limits.h"
#include "collector/netdev.h"
#include "collector/netlink.h"
#include "collector/object.h"
#include "collector/tc.h"
#include "collector/xdp.h"
#include "common/base/cleanup.h"
#include "common/limits.h"

/* --- the host ---------------------------------------------------------------------------------- */

static int add_kernel(struct ps_value *v)
{
	struct utsname u = {0};
	unsigned major = 0, minor = 0;
	int r;

	(void)uname(&u);
	(void)sscanf(u.release, "%u.%u", &major, &minor);
	r = ps_value_set(v, "kernel", ps_value_string(u.release));
	r |= ps_value_set(v, "kernel_ok",
		ps_value_bool(major > PS_KERNEL_MAJOR || (major == PS_KERNEL_MAJOR && minor >= PS_KERNEL_MINOR)));
	r |= ps_value_set(v, "btf", ps_value_bool(access("/sys/kernel/btf/vmlinux", R_OK) == 0));
	return r;
}

static int add_capabilities(struct ps_value *v, bool *ret_can_load)
{
	static const struct {
		const char *name;
		int number;
		bool sys_admin_too; /* CAP_SYS_ADMIN stands in */
	} caps[] = {
		{"CAP_BPF", 39, true},
		{"CAP_NET_ADMIN", CAP_NET_ADMIN, false},
		{"CAP_PERFMON", 38, true},
		{"CAP_SYS_ADMIN", CAP_SYS_ADMIN, false},
	};
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};
	struct ps_value *list = ps_value_map();
	bool has[PS_ARRAY_SIZE(caps)];
	int r = list ? 0 : -1;

	(void)syscall(SYS_capget, &head, data);
	for (size_t i = PS_ARRAY_SIZE(caps); i-- > 0;) {
		has[i] = data[caps[i].number / 32].effective >> caps[i].number % 32 & 1;
		has[i] = has[i] || (caps[i].sys_admin_too && has[PS_ARRAY_SIZE(caps) - 1]);
	}
	for (size_t i = 0; i < PS_ARRAY_SIZE(caps); i++)
		r |= ps_value_set(list, caps[i].name, ps_value_bool(has[i]));
	*ret_can_load = has[0] && has[1];
	return r | ps_value_set(v, "capabilities", list);
}

static int add_features(struct ps_value *v, bool can_load)
{
	int r = ps_value_set(v, "tcx", can_load ? ps_value_bool(ps_tc_has_tcx()) : ps_value_null());

	return r | ps_value_set(v, "xdp_frags", can_load ? ps_value_bool(ps_object_has_frags()) : ps_value_null());
}

static int add_pins(struct ps_value *v, const struct ps_pins *pins)
{
	char path[PS_PIN_NAME];
	struct ps_value *p = ps_value_map();
	int r = p ? 0 : -1;

	r |= ps_value_set(p, "root", ps_value_string(pins->root));
	r |= ps_value_set(p, "bpffs", ps_value_bool(ps_pins_is_bpffs(pins->root)));
	r |= ps_value_set(p, "maps", ps_value_bool(access(ps_pins_map(pins, "ps_meta", path), F_OK) == 0));
	r |= ps_value_set(p, "abi", ps_value_int(PS_ABI_VERSION));
	return r | ps_value_set(v, "pins", p);
}

/* --- its interfaces ---------------------------------------------------------------------------- */

struct listing {
	const struct ps_pins *pins;
	const char *wanted; /* "" = all */
	struct ps_value *list;
	char found[PS_IFACES_MAX][IFNAMSIZ];
	unsigned n_found;
	int failed;
};

static bool named(const char *names, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = names; *p; p += strcspn(p, ","), p += *p == ',')
		if (strcspn(p, ",") == len && memcmp(p, name, len) == 0)
			return true;
	return false;
}

static struct ps_value *driver(const char *iface)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
	struct ifreq req = {.ifr_data = (void *)&info};

	(void)snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", iface);
	if (fd < 0 || ioctl(fd, SIOCETHTOOL, &req) < 0)
		return ps_value_null();
	return ps_value_string_n(info.driver, strnlen(info.driver, sizeof(info.driver)));
}

static struct ps_value *native(uint32_t ifindex)
{
	uint64_t features;

	if (ps_netdev_xdp_features(ifindex, &features) < 0)
		return ps_value_null();
	return ps_value_bool(features & PS_NETDEV_XDP_BASIC);
}

/* What is attached, and whether a start would be refused because of it. */
static int add_xdp(struct ps_value *v, const struct ps_pins *pins, const char *name, uint32_t ifindex)
{
	struct ps_xdp_state s;
	struct ps_error err = {0};
	struct ps_value *x;
	int r, check;

	if (ps_xdp_query(ifindex, &s) < 0 || s.prog_id == 0)
		return ps_value_set(v, "xdp", ps_value_null());
	x = ps_value_map();
	check = ps_xdp_check(pins, name, ifindex, &err);
	r = ps_value_set(x, "program", ps_value_string(s.prog_name));
	r |= ps_value_set(x, "id", ps_value_int(s.prog_id));
	r |= ps_value_set(x, "mode", ps_value_string(ps_xdp_mode_name(s.mode)));
	r |= ps_value_set(x, "ours", ps_value_bool(check == 0));
	r |= ps_value_set(x, "problem", check == 0 ? ps_value_null() : ps_value_string(err.message));
	return r | ps_value_set(v, "xdp", x);
}

static void on_link(void *arg, const struct ps_netlink_iface *link)
{
	struct listing *l = arg;
	struct ps_value *v;
	int r = 0;

	if (l->wanted[0] ? !named(l->wanted, link->name) : link->loopback)
		return;
	if (l->n_found == PS_IFACES_MAX)
		return;
	memcpy(l->found[l->n_found++], link->name, IFNAMSIZ);
	v = ps_value_map();
	r |= ps_value_set(v, "name", ps_value_string(link->name));
	r |= ps_value_set(v, "exists", ps_value_bool(true));
	r |= ps_value_set(v, "ifindex", ps_value_int(link->ifindex));
	r |= ps_value_set(v, "up", ps_value_bool(link->up));
	r |= ps_value_set(v, "mtu", ps_value_int(link->mtu));
	r |= ps_value_set(v, "driver", driver(link->name));
	r |= ps_value_set(v, "xdp_native", native(link->ifindex));
	r |= add_xdp(v, l->pins, link->name, link->ifindex);
	l->failed |= r | ps_value_append(l->list, v);
}

/* Those that were named and are not there. */
static void add_missing(struct listing *l)
{
	for (const char *p = l->wanted; *p;) {
		int len = (int)strcspn(p, ",");
		char name[IFNAMSIZ];
		bool there = len == 0;
		struct ps_value *v;

		(void)snprintf(name, sizeof(name), "%.*s", len, p);
		for (unsigned i = 0; i < l->n_found; i++)
			there = there || strcmp(l->found[i], name) == 0;
		p += len + (p[len] == ',');
		if (there)
			continue;
		v = ps_value_map();
		l->failed |= ps_value_set(v, "name", ps_value_string(name));
		l->failed |= ps_value_set(v, "exists", ps_value_bool(false));
		l->failed |= ps_value_append(l->list, v);
	}
}

struct ps_value *ps_host_probe(const struct ps_pins *pins, const char *ifaces)
{
	_cleanup_(ps_value_free) struct ps_value *v = ps_value_map();
	struct listing l = {.pins = pins, .wanted = ifaces, .list = ps_value_list()};
	bool can_load;
	int r = add_kernel(v);

	r |= add_capabilities(v, &can_load);
	r |= add_features(v, can_load);
	r |= add_pins(v, pins);
	(void)ps_netlink_dump(on_link, &l);
	add_missing(&l);
	r |= ps_value_set(v, "interfaces", l.list);
	return r || l.failed ? NULL : PS_TAKE(v);
}
