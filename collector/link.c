#include "collector/link.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "common/base/cleanup.h"

static int open_link(const char *path, int *ret_fd, uint32_t *ret_ifindex)
{
	_cleanup_close_ int fd = bpf_obj_get(path);
	struct bpf_link_info info = {0};
	__u32 len = sizeof(info);

	if (fd < 0)
		return -errno;
	if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return -errno;
	/* The kernel gives a TCX link's interface in the same place as an XDP link's. */
	*ret_ifindex = info.xdp.ifindex;
	*ret_fd = PS_TAKE_FD(fd);
	return 0;
}

int ps_link_ifindex(const char *path, uint32_t *ret_ifindex)
{
	_cleanup_close_ int fd = -1;

	return open_link(path, &fd, ret_ifindex);
}

int ps_link_replace(const char *path, uint32_t ifindex, int prog_fd, struct ps_error *err)
{
	_cleanup_close_ int fd = -1;
	uint32_t at = 0;
	int r = open_link(path, &fd, &at);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return ps_error_set(
			err, r, 500, "bad_pin", "pin-root", "%s cannot be read as a link: %s.", path, strerror(-r));
	if (at == ifindex) {
		if (bpf_link_update(fd, prog_fd, NULL) == 0)
			return 1;
		if (errno != ENOLINK)
			return ps_error_set(err, -errno, 500, "no_update", "",
				"The program at %s cannot be replaced (%s): 'packetscope detach' removes it.", path,
				strerror(errno));
	}
	r = ps_link_remove(path);
	return r < 0 ? ps_error_set(err, r, 500, "bad_pin", "pin-root", "%s cannot be removed: %s.", path, strerror(-r))
		     : 0;
}

int ps_link_create(const char *path, uint32_t ifindex, int prog_fd, uint32_t type, uint32_t flags)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = flags);
	_cleanup_close_ int fd =
		bpf_link_create(prog_fd, (int)ifindex, (enum bpf_attach_type)type, flags ? &opts : NULL);

	if (fd < 0)
		return -errno;
	/* Closing an unpinned link detaches it again. */
	return bpf_obj_pin(fd, path) < 0 ? -errno : 0;
}

int ps_link_remove(const char *path)
{
	_cleanup_close_ int fd = -1;
	uint32_t ifindex;
	int r = open_link(path, &fd, &ifindex);

	if (r == -ENOENT)
		return 0;
	if (r == 0)
		(void)bpf_link_detach(fd); /* fails when the interface is gone: then there is nothing to detach */
	return unlink(path) < 0 ? -errno : 1;
}

char *ps_link_program_name(uint32_t prog_id, char name[static 16])
{
	_cleanup_close_ int fd = bpf_prog_get_fd_by_id(prog_id);
	struct bpf_prog_info info = {0};
	__u32 len = sizeof(info);

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) < 0 || !info.name[0])
		(void)snprintf(name, 16, "?");
	else
		(void)snprintf(name, 16, "%.15s", info.name);
	return name;
}
