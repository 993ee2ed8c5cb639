#include "gateway/probe.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/base/cleanup.h"

#define SCHEME "ipc://"

int ps_probe(const char *endpoint, int64_t *ret_pid)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = -1;
	struct ucred cred = {0};
	socklen_t len = sizeof(cred);
	int n;

	if (strncmp(endpoint, SCHEME, strlen(SCHEME)) != 0)
		return -EINVAL;
	n = snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", endpoint + strlen(SCHEME));
	if (n <= 0 || (size_t)n >= sizeof(sa.sun_path))
		return -EINVAL;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return -errno;
	/* Of a listener it names whoever called listen(2). */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -errno;
	*ret_pid = cred.pid;
	return 0;
}
