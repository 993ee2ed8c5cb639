#include "collector/pins.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "bpf/limits.h"
#include "common/base/cleanup.h"

#define PS_BPFFS "/sys/fs/bpf"

static void close_dirp(DIR **d)
{
	if (*d)
		(void)closedir(*d);
}

static void set_version(struct ps_pins *pins, uint32_t abi)
{
	(void)snprintf(pins->maps, sizeof(pins->maps), "%s/maps/v%u", pins->root, abi);
}

int ps_pins_init(struct ps_pins *pins, const char *root, gid_t gid, struct ps_error *err)
{
	size_t len = strlen(root);

	while (len > 1 && root[len - 1] == '/')
		len--;
	if (root[0] != '/')
		return ps_error_set(err, -EINVAL, 400, "bad_value", "pin-root", "'%s' must be an absolute path.", root);
	if (len >= sizeof(pins->root))
		return ps_error_set(err, -ENAMETOOLONG, 400, "bad_value", "pin-root",
			"The pin root may have at most %zu bytes.", sizeof(pins->root) - 1);
	memset(pins, 0, sizeof(*pins));
	memcpy(pins->root, root, len);
	pins->gid = gid;
	set_version(pins, PS_ABI_VERSION);
	(void)snprintf(pins->links, sizeof(pins->links), "%s/link", pins->root);
	return 0;
}

bool ps_pins_is_bpffs(const char *path)
{
	char probe[PS_PIN_NAME];
	struct statfs fs;

	(void)snprintf(probe, sizeof(probe), "%s", path);
	while (statfs(probe, &fs) < 0) {
		char *slash = strrchr(probe, '/');

		if (errno != ENOENT || !slash || slash == probe)
			return false;
		*slash = 0;
	}
	return (unsigned long)fs.f_type == BPF_FS_MAGIC;
}

static int mount_bpffs(struct ps_pins *pins, struct ps_error *err)
{
	size_t n = strlen(PS_BPFFS);

	if (ps_pins_is_bpffs(pins->root))
		return 0;
	if (strncmp(pins->root, PS_BPFFS, n) != 0 || (pins->root[n] && pins->root[n] != '/'))
		return ps_error_set(err, -EOPNOTSUPP, 500, "not_bpffs", "pin-root",
			"'%s' is not on a BPF file system: mount -t bpf bpf DIRECTORY, or use a path below %s.",
			pins->root, PS_BPFFS);
	/* Searchable but not listable: the aggregator reaches its maps without a capability. */
	if (mount("bpf", PS_BPFFS, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0711") < 0)
		return ps_error_set(err, -errno, 500, "no_bpffs", "pin-root",
			"No BPF file system at %s, and mounting one failed (%s): run 'mount -t bpf bpf %s' as root.",
			PS_BPFFS, strerror(errno), PS_BPFFS);
	pins->mounted = true;
	return 0;
}

/* Makes `path` (not what is above it) with this mode and group (-1: whichever); an existing one is brought to them. */
static int make_dir(const char *path, mode_t mode, gid_t gid)
{
	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return -errno;
	if (chown(path, (uid_t)-1, gid) < 0 || chmod(path, mode) < 0)
		return -errno;
	return 0;
}

int ps_pins_make(struct ps_pins *pins, struct ps_error *err)
{
	char above[PS_PIN_NAME];
	int r = mount_bpffs(pins, err);

	if (r < 0)
		return r;
	/* Directories above the root keep the mode that they have. */
	for (char *slash = strchr(pins->root + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		(void)snprintf(above, sizeof(above), "%.*s", (int)(slash - pins->root), pins->root);
		if (mkdir(above, 0755) < 0 && errno != EEXIST)
			return ps_error_set(
				err, -errno, 500, "no_pins", "pin-root", "Cannot make %s: %s.", above, strerror(errno));
	}
	(void)snprintf(above, sizeof(above), "%s/maps", pins->root);
	r = make_dir(pins->root, 0755, (gid_t)-1);
	if (r == 0)
		r = make_dir(above, 0750, pins->gid);
	if (r == 0)
		r = make_dir(pins->maps, 0750, pins->gid);
	if (r == 0)
		r = make_dir(pins->links, 0700, (gid_t)-1);
	if (r < 0)
		return ps_error_set(err, r, 500, "no_pins", "pin-root",
			"Cannot make the pin directories below %s (%s): root, or the owner of that directory, can.",
			pins->root, strerror(-r));
	return 0;
}

char *ps_pins_map(const struct ps_pins *pins, const char *name, char buf[static PS_PIN_NAME])
{
	(void)snprintf(buf, PS_PIN_NAME, "%s/%.32s", pins->maps, name);
	return buf;
}

static void swap(char *text, char from, char to)
{
	for (; *text; text++)
		if (*text == from)
			*text = to;
}

char *ps_pins_link(const struct ps_pins *pins, const char *kind, const char *iface, char buf[static PS_PIN_NAME])
{
	int at = snprintf(buf, PS_PIN_NAME, "%s/%.8s-", pins->links, kind);

	/* bpffs takes no dot in a name, an interface no colon. */
	(void)snprintf(buf + at, PS_PIN_NAME - (size_t)at, "%.16s", iface);
	swap(buf + at, '.', ':');
	return buf;
}

int ps_pins_own(const struct ps_pins *pins, const char *path)
{
	if (chown(path, (uid_t)-1, pins->gid) < 0 || chmod(path, 0660) < 0)
		return -errno;
	return 0;
}

int ps_pins_clear(const char *dir)
{
	_cleanup_(close_dirp) DIR *d = opendir(dir);
	struct dirent *e;
	int n = 0;

	if (!d)
		return errno == ENOENT ? 0 : -errno;
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		if (unlinkat(dirfd(d), e->d_name, 0) < 0)
			return -errno;
		n++;
	}
	if (rmdir(dir) < 0 && errno != ENOENT)
		return -errno;
	return n;
}

void ps_pins_of_version(const struct ps_pins *pins, uint32_t abi, struct ps_pins *ret_pins)
{
	*ret_pins = *pins;
	set_version(ret_pins, abi);
}

/* The number of a map directory's name; 0 = it is none. */
static uint32_t version_of(const char *name)
{
	char *end = NULL;
	unsigned long n = name[0] == 'v' && name[1] >= '1' && name[1] <= '9' ? strtoul(name + 1, &end, 10) : 0;

	return end && !*end && n <= UINT16_MAX ? (uint32_t)n : 0;
}

size_t ps_pins_versions(const struct ps_pins *pins, uint32_t ret_versions[static PS_PIN_VERSIONS])
{
	char above[PS_PIN_NAME];
	_cleanup_(close_dirp) DIR *d = NULL;
	struct dirent *e;
	size_t n = 0;

	(void)snprintf(above, sizeof(above), "%s/maps", pins->root);
	d = opendir(above);
	while (d && n < PS_PIN_VERSIONS && (e = readdir(d))) {
		uint32_t version = version_of(e->d_name);
		size_t at = n;

		if (!version)
			continue;
		for (; at > 0 && ret_versions[at - 1] < version; at--)
			ret_versions[at] = ret_versions[at - 1];
		ret_versions[at] = version;
		n++;
	}
	return n;
}

int ps_pins_clear_other_abi(const struct ps_pins *pins)
{
	char above[PS_PIN_NAME], dir[PS_PIN_NAME + 256];
	const char *own = strrchr(pins->maps, '/') + 1;
	_cleanup_(close_dirp) DIR *d = NULL;
	struct dirent *e;
	int n = 0;

	(void)snprintf(above, sizeof(above), "%s/maps", pins->root);
	d = opendir(above);
	if (!d)
		return 0;
	while ((e = readdir(d))) {
		if (e->d_name[0] != 'v' || strcmp(e->d_name, own) == 0)
			continue;
		(void)snprintf(dir, sizeof(dir), "%s/%s", above, e->d_name);
		if (ps_pins_clear(dir) >= 0)
			n++;
	}
	return n;
}

int ps_pins_each_link(const struct ps_pins *pins, int (*fn)(void *arg, const char *kind, const char *iface), void *arg)
{
	_cleanup_(close_dirp) DIR *d = opendir(pins->links);
	struct dirent *e;

	if (!d)
		return errno == ENOENT ? 0 : -errno;
	while ((e = readdir(d))) {
		char *dash = strchr(e->d_name, '-');
		int r;

		if (e->d_name[0] == '.' || !dash)
			continue;
		*dash = 0;
		swap(dash + 1, ':', '.');
		r = fn(arg, e->d_name, dash + 1);
		if (r)
			return r;
	}
	return 0;
}
