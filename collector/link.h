/*
 * A pinned BPF link: a program on a hook of an interface that stays when its loader dies. XDP and TCX links are alike
 * in everything that happens after they were made.
 */
#ifndef PS_LINK_H
#define PS_LINK_H

#include <stdint.h>

#include "common/base/error.h"

/* The interface that a pinned link sits on; 0 = its interface is gone and the link with it. -ENOENT: no such pin. */
int ps_link_ifindex(const char *path, uint32_t *ret_ifindex);

/*
 * Puts another program in the place of the pinned link's, without a moment between. 1 = done. 0 = there was no link, or
 * it belonged to an interface other than ifindex: the stale pin has been removed and the caller makes a new one. -errno
 * fills err.
 */
int ps_link_replace(const char *path, uint32_t ifindex, int prog_fd, struct ps_error *err);

/* Makes a link with BPF_LINK_CREATE and pins it. `type` is an enum bpf_attach_type, `flags` XDP_FLAGS_*. -errno, err
 * untouched. */
int ps_link_create(const char *path, uint32_t ifindex, int prog_fd, uint32_t type, uint32_t flags);

/* Detaches at once, whoever else holds the link, and removes the pin. 1 = removed, 0 = there was none, -errno. */
int ps_link_remove(const char *path);

/* Name (16 bytes with the NUL) of a loaded program by its id; "?" when it can't be read. */
char *ps_link_program_name(uint32_t prog_id, char name[static 16]);

#endif
