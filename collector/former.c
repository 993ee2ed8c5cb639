#include "collector/former.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "collector/link.h"
#include "common/base/cleanup.h"

static const struct {
	const char *name;
	uint32_t since;
	unsigned together;
} layouts[] = {
#define PS_MAP(name, since, together) {#name, since, together},
#include "bpf/maps.def"
#undef PS_MAP
};

struct ps_former {
	struct ps_pins pins;
	uint32_t version;
	struct ps_meta meta;
	bool attached;
	bool shared[PS_ARRAY_SIZE(layouts)];
};

uint32_t ps_former_since(const char *name, unsigned *ret_together)
{
	for (size_t i = 0; i < PS_ARRAY_SIZE(layouts); i++)
		if (strcmp(layouts[i].name, name) == 0) {
			*ret_together = layouts[i].together;
			return layouts[i].since;
		}
	return 0;
}

void ps_former_free(struct ps_former **former)
{
	ps_freep(former);
}

uint32_t ps_former_version(const struct ps_former *former)
{
	return former->version;
}

const struct ps_meta *ps_former_meta(const struct ps_former *former)
{
	return &former->meta;
}

bool ps_former_attached(const struct ps_former *former)
{
	return former->attached;
}

/* --- finding ----------------------------------------------------------------------------------- */

/* The words of ps_meta that every version has. -ENOENT: there is none, or nothing that makes sense. */
static int read_meta(const struct ps_pins *pins, uint32_t version, struct ps_meta *ret_meta)
{
	char path[PS_PIN_NAME];
	_cleanup_close_ int fd = bpf_obj_get(ps_pins_map(pins, "ps_meta", path));
	struct bpf_map_info info = {0};
	union {
		struct ps_meta meta;
		char bytes[PS_META_MAX];
	} v = {0};
	__u32 len = sizeof(info), zero = 0;

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) < 0 || info.value_size < sizeof(v.meta) ||
		info.value_size > sizeof(v) || bpf_map_lookup_elem(fd, &zero, &v) < 0)
		return -ENOENT;
	if (v.meta.abi != version || v.meta.buckets == 0 || v.meta.cpus == 0 || v.meta.cpus > PS_CPUS_MAX)
		return -ENOENT;
	*ret_meta = v.meta;
	return 0;
}

struct links {
	const struct ps_pins *pins;
	const char *kind; /* those that are looked for */
};

static int is_attached(void *arg, const char *kind, const char *iface)
{
	const struct links *l = arg;
	char path[PS_PIN_NAME];
	uint32_t at = 0;

	return strcmp(kind, l->kind) == 0 && ps_link_ifindex(ps_pins_link(l->pins, kind, iface, path), &at) == 0 &&
	       at != 0;
}

static bool any_attached(const struct ps_pins *pins)
{
	struct links l = {.pins = pins, .kind = "xdp"};

	return ps_pins_each_link(pins, is_attached, &l) == 1;
}

static int refuse(const struct ps_pins *pins, uint32_t version, struct ps_error *err)
{
	return ps_error_set(err, -EEXIST, 409, "newer_pins", "pin-root",
		"Programs of a newer version of Packet Scope are at work: %s/maps holds maps of layout %u, this "
		"version knows "
		"layout %u. They go on enforcing the rules. Install the newer version again, or run "
		"'packetscope-collector "
		"--detach --purge', which ends enforcement and removes their counters and connections, and start this "
		"one.",
		pins->root, version, PS_ABI_VERSION);
}

/* The newest version that is older than ours and whose maps are complete. */
static int take(const struct ps_pins *pins, uint32_t version, bool attached, struct ps_former **ret_former)
{
	struct ps_former *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->version = version;
	f->attached = attached;
	ps_pins_of_version(pins, version, &f->pins);
	(void)read_meta(&f->pins, version, &f->meta);
	*ret_former = f;
	return 0;
}

int ps_former_find(
	const struct ps_pins *pins, const struct ps_meta *own, struct ps_former **ret_former, struct ps_error *err)
{
	uint32_t versions[PS_PIN_VERSIONS];
	size_t n = ps_pins_versions(pins, versions);
	bool attached = any_attached(pins);

	*ret_former = NULL;
	for (size_t i = 0; i < n; i++) {
		struct ps_meta meta;
		struct ps_pins at;

		ps_pins_of_version(pins, versions[i], &at);
		if (versions[i] == PS_ABI_VERSION || read_meta(&at, versions[i], &meta) < 0)
			continue;
		if (versions[i] > PS_ABI_VERSION) {
			/* One that was still waiting to take over from us is on no interface. */
			bool waiting = meta.former == PS_ABI_VERSION && !meta.swapped;

			if (attached && !waiting)
				return refuse(pins, versions[i], err);
			continue;
		}
		if (own && own->former != versions[i])
			continue;
		return take(pins, versions[i], attached, ret_former);
	}
	return 0;
}

/* --- which maps both use ------------------------------------------------------------------------- */

int ps_former_open(const struct ps_former *former, const char *name)
{
	char path[PS_PIN_NAME];

	return bpf_obj_get(ps_pins_map(&former->pins, name, path));
}

static bool is_same(const struct ps_former *f, size_t row, const struct bpf_map *map)
{
	_cleanup_close_ int fd = ps_former_open(f, layouts[row].name);
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info);

	if (layouts[row].since > f->version || !map || fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return false;
	/* A table that is wrong must not make one program read another's bytes. */
	return info.type == bpf_map__type(map) && info.key_size == bpf_map__key_size(map) &&
	       info.value_size == bpf_map__value_size(map) && info.max_entries == bpf_map__max_entries(map) &&
	       info.map_flags == bpf_map__map_flags(map);
}

void ps_former_decide(struct ps_former *former, struct bpf_object *obj)
{
	unsigned broken = 0; /* groups that are not taken over: a bit each */

	for (size_t i = 0; i < PS_ARRAY_SIZE(layouts); i++) {
		former->shared[i] = is_same(former, i, bpf_object__find_map_by_name(obj, layouts[i].name));
		if (!former->shared[i] && layouts[i].together)
			broken |= 1u << layouts[i].together;
	}
	for (size_t i = 0; i < PS_ARRAY_SIZE(layouts); i++)
		if (broken & 1u << layouts[i].together)
			former->shared[i] = false;
}

bool ps_former_shares(const struct ps_former *former, const char *name)
{
	for (size_t i = 0; i < PS_ARRAY_SIZE(layouts); i++)
		if (strcmp(layouts[i].name, name) == 0)
			return former->shared[i];
	return false;
}

static int adopt(const struct ps_former *former, const struct ps_pins *pins, const char *name)
{
	char path[PS_PIN_NAME];
	_cleanup_close_ int fd = ps_former_open(former, name);

	if (fd < 0)
		return -errno;
	if (bpf_obj_pin(fd, ps_pins_map(pins, name, path)) < 0 && errno != EEXIST)
		return -errno;
	return ps_pins_own(pins, path);
}

static void close_dirp(DIR **d)
{
	if (*d)
		(void)closedir(*d);
}

int ps_former_adopt(const struct ps_former *former, const struct ps_pins *pins, const char *prefix)
{
	_cleanup_(close_dirp) DIR *d = opendir(former->pins.maps);
	struct dirent *e;
	int r = 0;

	if (!d)
		return -errno;
	while (r == 0 && (e = readdir(d)))
		if (strncmp(e->d_name, prefix, strlen(prefix)) == 0)
			r = adopt(former, pins, e->d_name);
	return r;
}
