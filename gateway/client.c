#include "gateway/client.h"

#include <stdlib.h>
#include <sys/socket.h>

struct ps_client *ps_client_new(
	struct ps_clients *clients, int fd, const struct ps_addr *addr, uint64_t deadline, uint64_t now)
{
	struct ps_client *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->fd = fd;
	c->addr = *addr;
	c->deadline = deadline;
	c->since = now;
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

void ps_client_shut(struct ps_client *client, bool hard)
{
	const struct linger at_once = {.l_onoff = 1, .l_linger = 0};

	if (hard)
		(void)setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	(void)shutdown(client->fd, SHUT_RDWR);
	client->deadline = UINT64_MAX;
	client->shut = true;
}

size_t ps_clients_expire(struct ps_clients *clients, uint64_t now)
{
	size_t n = 0;

	for (struct ps_client *c = clients->first; c; c = c->next) {
		if (c->deadline > now || c->deadline == UINT64_MAX)
			continue;
		ps_client_shut(c, c->busy);
		n++;
	}
	return n;
}

/* What competes for places, and the one among them that waits the longest. addr NULL: all addresses. */
static size_t count(const struct ps_clients *clients, const struct ps_addr *addr, struct ps_client **ret_oldest)
{
	size_t n = 0;

	*ret_oldest = NULL;
	for (struct ps_client *c = clients->first; c; c = c->next) {
		if (c->endless || c->shut || (addr && !ps_addr_equal(&c->addr, addr)))
			continue;
		n++;
		if (!c->busy && (!*ret_oldest || c->since < (*ret_oldest)->since))
			*ret_oldest = c;
	}
	return n;
}

bool ps_clients_admit(
	struct ps_clients *clients, const struct ps_addr *addr, size_t max, size_t max_addr, uint64_t *evicted)
{
	struct ps_client *oldest;

	if (count(clients, addr, &oldest) < max_addr && count(clients, NULL, &oldest) < max)
		return true;
	++*evicted;
	if (oldest)
		ps_client_shut(oldest, false);
	return oldest;
}

bool ps_client_gone(const struct ps_client *client)
{
	char byte;

	return recv(client->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}
