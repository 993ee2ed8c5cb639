#include "common/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "common/base/cleanup.h"

int ps_file_read_fd(int fd, size_t max, struct ps_buf *out)
{
	size_t total = 0;

	for (;;) {
		uint8_t *p = ps_buf_reserve(out, 4096);
		ssize_t n;

		if (!p)
			return out->error;
		n = read(fd, p, 4096);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;
		total += (size_t)n;
		if (total > max)
			return -EFBIG;
		out->len += (size_t)n;
	}
}

int ps_file_read(const char *path, size_t max, struct ps_buf *out)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return ps_file_read_fd(fd, max, out);
}
