#include <errno.h>
#include <string.h>

#include "common/bus/bus.h"
#include "common/bus/socket.h"

#define ITEMS_MAX 8

int ps_bus_wait(struct ps_subscriber *const *subs, size_t n_subs, struct ps_requester *rq, long timeout_ms)
{
	zmq_pollitem_t items[ITEMS_MAX];
	int n = 0;

	if (n_subs >= ITEMS_MAX)
		return -EINVAL;
	for (size_t i = 0; i < n_subs; i++)
		items[n++] = (zmq_pollitem_t){.socket = ps_subscriber_socket(subs[i])->handle, .events = ZMQ_POLLIN};
	if (rq)
		items[n++] = (zmq_pollitem_t){.socket = ps_requester_socket(rq)->handle, .events = ZMQ_POLLIN};
	int rc = zmq_poll(items, n, timeout_ms);
	return rc < 0 ? -errno : rc > 0;
}

static int descriptor(const struct ps_socket *s)
{
	int fd = -1;
	size_t len = sizeof(fd);

	return zmq_getsockopt(s->handle, ZMQ_FD, &fd, &len) == 0 ? fd : -errno;
}

int ps_subscriber_fd(struct ps_subscriber *sub)
{
	return descriptor(ps_subscriber_socket(sub));
}

int ps_requester_fd(struct ps_requester *rq)
{
	return descriptor(ps_requester_socket(rq));
}
