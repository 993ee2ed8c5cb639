#include "gateway/client.h"

#include <stdlib.h>
#include <sys/socket.h>

struct ps_client *ps_client_new(struct ps_clients *clients, int fd, uint64_t deadline)
{
	struct ps_client *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->fd = fd;
	c->deadline = deadline;
	c->next = clients->first;
	if (c->next)
		c->next->prev = c;
	clients->first = c;
	return c;
}

void ps_client_free(struct ps_clients *clients, struct ps_client **client)
{
	struct ps_client *c = *client;

	if (!c)
		return;
	if (c->prev)
		c->prev->next = c->next;
	else
		clients->first = c->next;
	if (c->next)
		c->next->prev = c->prev;
	free(c);
	*client = NULL;
}

size_t ps_clients_expire(struct ps_clients *clients, uint64_t now)
{
	size_t n = 0;

	for (struct ps_client *c = clients->first; c; c = c->next) {
		if (c->deadline > now || c->deadline == UINT64_MAX)
			continue;
		(void)shutdown(c->fd, SHUT_RDWR);
		c->deadline = UINT64_MAX;
		n++;
	}
	return n;
}
