/*
 * The HTTP server: libmicrohttpd inside the program's event loop, in external-epoll mode, one thread. The only file
 * that includes it.
 *
 * A request that waits for another part is suspended and resumed by its answer, so it holds up nobody. Limits:
 * connections in all and by address, size of headers and body, an idle time-out, and a deadline from the first to the
 * last byte of a request, for libmicrohttpd's own time-out starts anew with each byte.
 */
#ifndef PS_SERVER_H
#define PS_SERVER_H

#include "common/base/error.h"
#include "common/bus/loop.h"
#include "gateway/exchange.h"
#include "gateway/tls.h"

struct ps_server;

/* Serves on a listening socket, which it takes over; HTTPS if `tls` is not NULL. `gateway` must outlive it. */
int ps_server_new(struct ps_loop *loop, struct ps_gateway *gateway, int listen_fd, const struct ps_tls *tls,
	struct ps_server **ret_server, struct ps_error *err);

/* Closes all connections. Whatever can still answer an exchange (gateway->forward) must be gone before. */
void ps_server_free(struct ps_server **server);

#endif
