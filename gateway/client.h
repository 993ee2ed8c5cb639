/*
 * The connections that clients hold, each with a deadline of ours: until then a request must be whole, or an answer
 * taken.
 */
#ifndef PS_CLIENT_H
#define PS_CLIENT_H

#include <stddef.h>
#include <stdint.h>

struct ps_client {
	struct ps_client *prev, *next;
	int fd;            /* somebody else's: shut down here, never closed */
	uint64_t deadline; /* boot time, ns; UINT64_MAX = none */
};

struct ps_clients {
	struct ps_client *first;
};

/* NULL: no memory. */
struct ps_client *ps_client_new(struct ps_clients *clients, int fd, uint64_t deadline);
/* Takes it off the list and frees it. */
void ps_client_free(struct ps_clients *clients, struct ps_client **client);

/* Shuts down every connection whose time is over, once: whoever reads from it sees its end. Returns how many. */
size_t ps_clients_expire(struct ps_clients *clients, uint64_t now);

#endif
