/*
 * Where the kernel part is pinned: directories on a BPF file system, their modes, and the lock of their one owner.
 *
 *	ROOT/maps/v<ABI>/NAME    0660 in 0750, group as asked: the aggregator reads and writes maps by file permission
 *	ROOT/link/KIND-IFACE     in 0700: links are nobody's business but the collector's; a dot of the name is a colon
 *
 * A pin keeps its object alive when every program is dead. Maps of another ABI version stand in another directory, so
 * that a layout that has changed is never taken for this one; a map whose layout is the same is pinned in both while
 * one version takes over from another (former.h).
 */
#ifndef PS_PINS_H
#define PS_PINS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "collector/limits.h"
#include "common/base/error.h"

struct ps_pins {
	char root[PS_PIN_PATH];
	char maps[PS_PIN_PATH + 24]; /* ROOT/maps/v<ABI> */
	char links[PS_PIN_PATH + 24];
	gid_t gid;
	bool mounted; /* the BPF file system had to be mounted */
};

#define PS_PIN_NAME (PS_PIN_PATH + 64)

/* Fills the paths; touches nothing. -ENAMETOOLONG, -EINVAL (not absolute). */
int ps_pins_init(struct ps_pins *pins, const char *root, gid_t gid, struct ps_error *err);

/*
 * Makes the directories. Mounts a BPF file system on /sys/fs/bpf if the root lies below it and none is there.
 * -EOPNOTSUPP: the root is on another file system. Other errors are the system's.
 */
int ps_pins_make(struct ps_pins *pins, struct ps_error *err);

/* True if `path`, or the nearest directory above it that exists, is on a BPF file system. */
bool ps_pins_is_bpffs(const char *path);

/* Path of a map's or a link's pin. A name that is too long is cut and will not be found. Returns buf. */
char *ps_pins_map(const struct ps_pins *pins, const char *name, char buf[static PS_PIN_NAME]);
char *ps_pins_link(const struct ps_pins *pins, const char *kind, const char *iface, char buf[static PS_PIN_NAME]);

/* Gives a new pin its owner and mode 0660. */
int ps_pins_own(const struct ps_pins *pins, const char *path);

/* Removes all pins of a map directory and the directory. Returns how many pins there were, or -errno. */
int ps_pins_clear(const char *dir);

/* The same root as another ABI version uses it. */
void ps_pins_of_version(const struct ps_pins *pins, uint32_t abi, struct ps_pins *ret_pins);

/* The ABI versions that have a map directory here, highest first. Returns how many, PS_PIN_VERSIONS at most. */
size_t ps_pins_versions(const struct ps_pins *pins, uint32_t ret_versions[static PS_PIN_VERSIONS]);

/* Removes the map directories of other ABI versions. Returns how many there were. */
int ps_pins_clear_other_abi(const struct ps_pins *pins);

/* Every link pin: fn(kind, iface). Stops at its first non-zero return and returns that. A missing directory has no
 * pins. */
int ps_pins_each_link(const struct ps_pins *pins, int (*fn)(void *arg, const char *kind, const char *iface), void *arg);

#endif
