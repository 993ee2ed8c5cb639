/*
 * Where the gateway listens: the text of --api, and the socket made from it.
 */
#ifndef PS_LISTEN_H
#define PS_LISTEN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/model/addr.h"

struct ps_listen {
	struct ps_addr addr; /* family 0: every address, IPv4 and IPv6 */
	uint16_t port;       /* host byte order; 0: the kernel chooses one */
};

/*
 * "127.0.0.1:8080", ":8080" and "*:8080" (every address), "[::1]:8080", "localhost:8080" (127.0.0.1), "8080"
 * (127.0.0.1). Names are not looked up. -EINVAL fills err (field "api").
 */
int ps_listen_parse(const char *text, struct ps_listen *ret_listen, struct ps_error *err);

/* 127.0.0.0/8 or ::1. */
bool ps_addr_is_loopback(const struct ps_addr *a);

/* Reachable only from this host? */
bool ps_listen_is_loopback(const struct ps_listen *l);

/*
 * A listening, non-blocking socket; for "every address" one that takes both families (IPv4 alone where IPv6 is off).
 * *ret_port is the port it got. -errno fills err with the remedy.
 */
int ps_listen_open(const struct ps_listen *l, int *ret_fd, uint16_t *ret_port, struct ps_error *err);

/*
 * Does whoever listens there speak HTTP? Asks for /api/health; any answer will do, since the parts behind it have a
 * health of their own. `tls`: the question is no TLS, and whoever speaks that says so or hangs up. -errno fills err.
 */
int ps_listen_ask(const struct ps_listen *l, bool tls, int timeout_ms, struct ps_error *err);

/* "http://127.0.0.1:8080/" (https with `tls`): what a person on this host types into a browser. Returns buf. */
#define PS_LISTEN_URL 80
char *ps_listen_url(const struct ps_listen *l, uint16_t port, bool tls, char buf[static PS_LISTEN_URL]);

#endif
