#include "collector/watch.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "collector/link.h"
#include "collector/netlink.h"
#include "collector/runtime.h"
#include "common/base/cleanup.h"
#include "common/base/log.h"

struct watched {
	char name[IFNAMSIZ];
	uint32_t ifindex; /* 0 = not attached */
	uint32_t there;   /* index of the interface of this name; 0 = there is none */
	uint32_t mtu;
	bool loopback;
	bool l3;
	enum ps_tc_mode egress;                                /* AUTO: no egress hook */
	uint32_t hooks;                                        /* PS_IFACE_HOOKS, as in ps_ifaces */
	bool fresh;                                            /* attached by ps_watch_start, with no link before */
	bool told_generic;                                     /* one warning an interface */
	bool seen;                                             /* by the dump that is running */
	char problem[sizeof(((struct ps_error *)0)->message)]; /* the last one that was logged */
};

struct ps_watch {
	struct ps_watch_config config;
	const struct ps_pins *pins;
	const struct ps_maps *maps;
	int netlink;
	unsigned ticks;
	bool started;
	unsigned n;
	struct watched iface[PS_IFACES_MAX];
	struct {
		uint32_t ifindex;
		char name[IFNAMSIZ];
	} gone[PS_GONE_NAMES];
	unsigned n_gone; /* ever; the newest overwrite the oldest */
};

/* --- names ------------------------------------------------------------------------------------- */

static int add_name(struct ps_watch *w, const char *name, size_t len, struct ps_error *err)
{
	if (len >= IFNAMSIZ || strcspn(name, "/ \t\n\"=") < len || name[0] == '.')
		return ps_error_set(err, -EINVAL, 400, "bad_value", "iface",
			"'%.*s' cannot be the name of an interface; 'ip -br link' lists them.", (int)PS_MIN(len, 32),
			name);
	for (unsigned i = 0; i < w->n; i++)
		if (strlen(w->iface[i].name) == len && memcmp(w->iface[i].name, name, len) == 0)
			return ps_error_set(
				err, -EINVAL, 400, "bad_value", "iface", "'%s' is named twice.", w->iface[i].name);
	if (w->n == PS_IFACES_MAX)
		return ps_error_set(err, -EINVAL, 400, "bad_value", "iface", "At most %u interfaces can be watched.",
			PS_IFACES_MAX);
	memcpy(w->iface[w->n++].name, name, len);
	return 0;
}

int ps_watch_new(const struct ps_watch_config *config, const struct ps_pins *pins, const struct ps_maps *maps,
	struct ps_watch **ret_watch, struct ps_error *err)
{
	_cleanup_(ps_watch_free) struct ps_watch *w = calloc(1, sizeof(*w));
	int r = 0;

	if (!w)
		return -ENOMEM;
	w->config = *config;
	w->pins = pins;
	w->maps = maps;
	w->netlink = -1;
	for (const char *p = config->names; r == 0 && *p;) {
		size_t len = strcspn(p, ",");

		if (len > 0)
			r = add_name(w, p, len, err);
		p += len + (p[len] == ',');
	}
	if (r == 0 && w->n == 0)
		r = ps_error_set(err, -EINVAL, 400, "missing", "iface",
			"--iface must name at least one interface; 'ip -br link' lists them.");
	if (r < 0)
		return r;
	*ret_watch = PS_TAKE(w);
	return 0;
}

void ps_watch_free(struct ps_watch **watch)
{
	if (!*watch)
		return;
	ps_closep(&(*watch)->netlink);
	ps_freep(watch);
}

static struct watched *by_name(struct ps_watch *w, const char *name)
{
	for (unsigned i = 0; i < w->n; i++)
		if (strcmp(w->iface[i].name, name) == 0)
			return &w->iface[i];
	return NULL;
}

const char *ps_watch_name(void *arg, uint32_t ifindex, char out[static PS_NAME_SIZE])
{
	const struct ps_watch *w = arg;

	for (unsigned i = 0; i < w->n; i++)
		if (w->iface[i].ifindex == ifindex)
			return w->iface[i].name;
	for (unsigned i = 0; i < PS_MIN(w->n_gone, PS_GONE_NAMES); i++)
		if (w->gone[i].ifindex == ifindex)
			return w->gone[i].name;
	(void)snprintf(out, PS_NAME_SIZE, "if%u", ifindex);
	return out;
}

/* --- one interface ----------------------------------------------------------------------------- */

/* A loopback packet passes egress and ingress; only the latter is watched, and it sees both directions. */
static bool wants_egress(const struct ps_watch *w, const struct watched *i)
{
	return !w->config.ingress_only && !i->loopback;
}

/* Before the first packet comes: the programs look here for what they must know of the interface. */
static int describe(const struct ps_watch *w, const struct watched *i)
{
	struct ps_iface v = {
		.flags = (w->config.ingress_only && !i->loopback ? PS_IFACE_INGRESS_ONLY : 0) |
			 (i->l3 ? PS_IFACE_L3 : 0) | i->hooks,
		.mtu = i->mtu,
	};
	int r = i->l3 ? ps_runtime_note_l3(w->maps) : 0;

	/* For the aggregator, which may live in another network namespace. */
	_Static_assert(sizeof(v.name) == sizeof(i->name), "one size of names");
	memcpy(v.name, i->name, sizeof(v.name));
	if (r < 0)
		return r;
	return bpf_map_update_elem(ps_maps_fd(w->maps, "ps_ifaces"), &i->there, &v, BPF_ANY) < 0 ? -errno : 0;
}

/* The hooks in ps_ifaces: a collector that was killed left its programs there, and they are still at work. */
static uint32_t noted_hooks(const struct ps_watch *w, uint32_t ifindex)
{
	struct ps_iface v;

	return bpf_map_lookup_elem(ps_maps_fd(w->maps, "ps_ifaces"), &ifindex, &v) < 0 ? 0 : v.flags & PS_IFACE_HOOKS;
}

static uint32_t hooks_of(enum ps_xdp_mode xdp, enum ps_tc_mode tc)
{
	return (xdp == PS_XDP_GENERIC ? PS_IFACE_XDP_GENERIC : PS_IFACE_XDP_NATIVE) |
	       (tc == PS_TC_TCX             ? PS_IFACE_TCX
		       : tc == PS_TC_CLSACT ? PS_IFACE_CLSACT
					    : 0);
}

static void forget(struct ps_watch *w, struct watched *i)
{
	(void)bpf_map_delete_elem(ps_maps_fd(w->maps, "ps_ifaces"), &i->ifindex);
	w->gone[w->n_gone % PS_GONE_NAMES].ifindex = i->ifindex;
	memcpy(w->gone[w->n_gone % PS_GONE_NAMES].name, i->name, IFNAMSIZ);
	w->n_gone++;
	i->ifindex = 0;
	i->hooks = 0;
}

static void detach(struct ps_watch *w, struct watched *i, bool still_there)
{
	(void)ps_xdp_detach(w->pins, i->name);
	(void)ps_tc_detach(w->pins, i->name, still_there ? i->ifindex : 0);
	forget(w, i);
}

static void tell_attached(struct watched *i, const struct ps_xdp_result *xdp, const char *egress, bool replaced)
{
	if (xdp->native_error && !i->told_generic) {
		i->told_generic = true;
		ps_log(PS_LOG_WARN, "no native XDP on this interface, generic XDP instead: it costs more a packet",
			"iface=%s reason=\"%s\"", i->name, strerror(-xdp->native_error));
	}
	ps_log(PS_LOG_INFO, replaced ? "program replaced in place" : "attached", "iface=%s ifindex=%u xdp=%s egress=%s",
		i->name, i->ifindex, ps_xdp_mode_name(xdp->mode), egress);
}

/* Both hooks, or none. */
static int attach_hooks(struct ps_watch *w, struct watched *i, struct ps_xdp_result *ret_xdp, enum ps_tc_mode *ret_tc,
	struct ps_error *err)
{
	bool replaced;
	int r = ps_xdp_attach(w->pins, i->name, i->there, w->config.xdp_prog, w->config.xdp_mode, ret_xdp, err);

	if (r < 0)
		return r;
	if (wants_egress(w, i))
		r = ps_tc_attach(
			w->pins, i->name, i->there, w->config.tc_prog, w->config.tc_mode, ret_tc, &replaced, err);
	else
		(void)ps_tc_detach(w->pins, i->name, i->there);
	if (r < 0 && !ret_xdp->replaced)
		(void)ps_xdp_detach(w->pins, i->name);
	return r;
}

static int attach(struct ps_watch *w, struct watched *i, struct ps_error *err)
{
	struct ps_xdp_result xdp = {0};
	enum ps_tc_mode tc = PS_TC_AUTO;
	int r;

	i->hooks = noted_hooks(w, i->there);
	r = describe(w, i);
	if (r < 0)
		return ps_error_set(
			err, r, 500, "no_maps", "iface", "Cannot note %s in ps_ifaces: %s.", i->name, strerror(-r));
	r = attach_hooks(w, i, &xdp, &tc, err);
	i->hooks = r < 0 ? 0 : hooks_of(xdp.mode, tc);
	(void)describe(w, i); /* the row is there: this can't fail for want of room */
	if (r < 0)
		return r;
	i->ifindex = i->there;
	i->egress = tc;
	i->fresh = !xdp.replaced;
	i->problem[0] = 0;
	tell_attached(i, &xdp, tc == PS_TC_AUTO ? "none" : ps_tc_mode_name(tc), xdp.replaced);
	return 0;
}

/* After start: a failure is logged, once, and tried again. */
static void attach_later(struct ps_watch *w, struct watched *i)
{
	struct ps_error err = {0};
	int r = attach(w, i, &err);

	if (r == 0)
		return;
	if (!err.message[0])
		(void)ps_error_set(&err, r, 500, "no_attach", "iface", "%s", strerror(-r));
	if (strcmp(err.message, i->problem) != 0)
		ps_log_failure("cannot attach, will try again", r, &err);
	memcpy(i->problem, err.message, sizeof(i->problem));
}

/* --- changes ----------------------------------------------------------------------------------- */

static void on_gone(struct ps_watch *w, struct watched *i)
{
	i->there = 0;
	i->problem[0] = 0;
	if (!i->ifindex)
		return;
	ps_log(PS_LOG_WARN, "interface gone, waiting for it", "iface=%s ifindex=%u", i->name, i->ifindex);
	detach(w, i, false);
}

static void on_there(struct ps_watch *w, struct watched *i, const struct ps_netlink_iface *link)
{
	bool changed = i->mtu != link->mtu || i->l3 != link->l3;

	i->seen = true;
	i->mtu = link->mtu;
	i->loopback = link->loopback;
	i->l3 = link->l3;
	if (i->ifindex && i->ifindex != link->ifindex)
		on_gone(w, i);
	i->there = link->ifindex;
	if (!w->started)
		return;
	if (!i->ifindex)
		attach_later(w, i);
	else if (changed)
		(void)describe(w, i);
}

static void on_link(void *arg, const struct ps_netlink_iface *link)
{
	struct ps_watch *w = arg;
	struct watched *named = by_name(w, link->name);

	for (unsigned k = 0; k < w->n; k++) {
		struct watched *i = &w->iface[k];

		if (i->there != link->ifindex || (i == named && !link->gone))
			continue;
		if (!link->gone && i->ifindex) {
			ps_log(PS_LOG_WARN, "interface was given another name, detaching from it", "iface=%s now=%s",
				i->name, link->name);
			detach(w, i, true);
		}
		on_gone(w, i);
	}
	if (named && !link->gone)
		on_there(w, named, link);
}

static int look_at_all(struct ps_watch *w)
{
	int r;

	for (unsigned k = 0; k < w->n; k++)
		w->iface[k].seen = false;
	r = ps_netlink_dump(on_link, w);
	for (unsigned k = 0; r == 0 && k < w->n; k++)
		if (!w->iface[k].seen)
			on_gone(w, &w->iface[k]);
	return r;
}

int ps_watch_fd(const struct ps_watch *watch)
{
	return watch->netlink;
}

void ps_watch_read(struct ps_watch *watch)
{
	int r = ps_netlink_read(watch->netlink, on_link, watch);

	if (r == -ENOBUFS)
		r = look_at_all(watch);
	if (r < 0)
		ps_log(PS_LOG_ERROR, "cannot hear of interfaces", "reason=\"%s\"", strerror(-r));
}

/* Someone may have removed a link or its pin behind our back. */
static bool intact(const struct ps_watch *w, const struct watched *i)
{
	char path[PS_PIN_NAME];
	uint32_t at = 0;

	if (ps_link_ifindex(ps_pins_link(w->pins, "xdp", i->name, path), &at) < 0 || at != i->ifindex)
		return false;
	return i->egress == PS_TC_AUTO || ps_tc_intact(w->pins, i->name, i->ifindex, i->egress);
}

void ps_watch_tick(struct ps_watch *watch)
{
	bool verify = ++watch->ticks % PS_VERIFY_TICKS == 0;

	for (unsigned k = 0; k < watch->n; k++) {
		struct watched *i = &watch->iface[k];

		if (verify && i->ifindex && !intact(watch, i)) {
			ps_log(PS_LOG_WARN, "the link is gone, attaching again", "iface=%s", i->name);
			i->ifindex = 0;
			i->hooks = 0;
			(void)describe(watch, i);
		}
		if (i->there && !i->ifindex)
			attach_later(watch, i);
	}
}

/* --- start ------------------------------------------------------------------------------------- */

/* Names first, then removal: the directory is not to change while it is read. */
struct unwanted {
	struct ps_watch *w;
	unsigned n;
	char name[2 * PS_IFACES_MAX][IFNAMSIZ];
};

static int note_unwanted(void *arg, const char *kind, const char *iface)
{
	struct unwanted *u = arg;

	(void)kind;
	if (!by_name(u->w, iface) && u->n < PS_ARRAY_SIZE(u->name) && strlen(iface) < IFNAMSIZ)
		memcpy(u->name[u->n++], iface, strlen(iface) + 1);
	return 0;
}

static bool not_there(const struct ps_watch *w, uint32_t ifindex)
{
	char name[IFNAMSIZ];

	(void)w;
	return !if_indextoname(ifindex, name);
}

static bool not_watched(const struct ps_watch *w, uint32_t ifindex)
{
	for (unsigned k = 0; k < w->n; k++)
		if (w->iface[k].ifindex == ifindex)
			return false;
	return true;
}

/* Removes the rows of ps_ifaces that `drop` says yes to. */
static void clean_rows(const struct ps_watch *w, bool (*drop)(const struct ps_watch *w, uint32_t ifindex))
{
	int fd = ps_maps_fd(w->maps, "ps_ifaces");
	uint32_t keys[PS_IFACES_MAX];
	size_t n = 0;

	while (n < PS_ARRAY_SIZE(keys) && bpf_map_get_next_key(fd, n ? &keys[n - 1] : NULL, &keys[n]) == 0)
		n++;
	for (size_t k = 0; k < n; k++)
		if (drop(w, keys[k]))
			(void)bpf_map_delete_elem(fd, &keys[k]);
}

static void drop_unwanted(struct ps_watch *w)
{
	struct unwanted u = {.w = w};

	(void)ps_pins_each_link(w->pins, note_unwanted, &u);
	for (unsigned k = 0; k < u.n; k++) {
		int xdp = ps_xdp_detach(w->pins, u.name[k]);
		int tc = ps_tc_detach(w->pins, u.name[k], if_nametoindex(u.name[k]));

		if (xdp > 0 || tc > 0)
			ps_log(PS_LOG_INFO, "detached from an interface that is no longer asked for", "iface=%s",
				u.name[k]);
	}
	clean_rows(w, not_watched);
}

static void roll_back(struct ps_watch *w)
{
	for (unsigned k = 0; k < w->n; k++)
		if (w->iface[k].ifindex && w->iface[k].fresh)
			detach(w, &w->iface[k], true);
}

static int start_all(struct ps_watch *w, struct ps_error *err)
{
	int r = 0;

	/* All questions before the first deed. */
	for (unsigned k = 0; r == 0 && k < w->n; k++)
		if (w->iface[k].there)
			r = ps_xdp_check(w->pins, w->iface[k].name, w->iface[k].there, err);
	for (unsigned k = 0; r == 0 && k < w->n; k++) {
		if (w->iface[k].there)
			r = attach(w, &w->iface[k], err);
		else
			ps_log(PS_LOG_WARN, "there is no such interface yet, waiting for it", "iface=%s",
				w->iface[k].name);
		if (r == -ENODEV) /* it went meanwhile; the news of that is waiting */
			r = 0;
	}
	return r;
}

int ps_watch_start(struct ps_watch *watch, struct ps_error *err)
{
	int r = ps_netlink_open(&watch->netlink);

	if (r == 0)
		r = look_at_all(watch);
	if (r < 0)
		return ps_error_set(
			err, r, 500, "no_netlink", "", "Cannot ask the kernel for interfaces: %s.", strerror(-r));
	/* Rows of interfaces that went while nobody looked would fill the map in time. */
	clean_rows(watch, not_there);
	r = start_all(watch, err);
	if (r < 0) {
		roll_back(watch);
		return r;
	}
	drop_unwanted(watch);
	watch->started = true;
	return 0;
}

unsigned ps_watch_attached(const struct ps_watch *watch, unsigned *ret_wanted)
{
	unsigned n = 0;

	for (unsigned k = 0; k < watch->n; k++)
		n += watch->iface[k].ifindex != 0;
	*ret_wanted = watch->n;
	return n;
}
