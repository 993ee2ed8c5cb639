/*
 * The connections that clients hold: each with a deadline of ours, until which a request must be whole, or an answer
 * taken; and who gets a place when there are not enough. Event streams have places of their own. Times are boot time,
 * ns.
 */
#ifndef PS_CLIENT_H
#define PS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/model/addr.h"

struct ps_client {
	struct ps_client *prev, *next;
	int fd; /* somebody else's: shut down here, never closed */
	struct ps_addr addr;
	struct ps_addr local; /* the address of ours it came to */
	uint16_t local_port;
	uint64_t deadline; /* UINT64_MAX = none */
	uint64_t since;    /* when it began to wait for its request */
	bool busy;         /* a request is being answered */
	bool endless;      /* an event stream */
	bool shut;         /* and only waits to be closed */
	void *request;     /* the transport's */
};

struct ps_clients {
	struct ps_client *first;
};

/* NULL: no memory. */
struct ps_client *ps_client_new(
	struct ps_clients *clients, int fd, const struct ps_addr *addr, uint64_t deadline, uint64_t now);
/* Takes it off the list and frees it. */
void ps_client_free(struct ps_clients *clients, struct ps_client **client);

/* Whoever reads from it sees its end. `hard`: what was not taken yet is thrown away, so that one who does not read
 * holds no memory of the kernel. */
void ps_client_shut(struct ps_client *client, bool hard);
/* Shuts down every connection whose time is over, once. Returns how many. */
size_t ps_clients_expire(struct ps_clients *clients, uint64_t now);

/*
 * Is there a place for one more from this address, when there are `max` in all and `max_addr` for each address? If all
 * are taken, the one that has been waiting for a request the longest gives way: whoever sends a byte now and then, or
 * nothing, cannot keep others out. It is counted in *evicted. False: all are being served, and that is counted too.
 */
bool ps_clients_admit(
	struct ps_clients *clients, const struct ps_addr *addr, size_t max, size_t max_addr, uint64_t *evicted);

/* Has the other end closed? Nobody else would notice while a stream has nothing to say. */
bool ps_client_gone(const struct ps_client *client);

#endif
