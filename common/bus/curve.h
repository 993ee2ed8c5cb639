/*
 * CURVE (RFC 26) for tcp endpoints: keys in files, and who may come in (ZAP, RFC 27). Private to common/bus/ but for
 * what bus.h declares.
 *
 * Key files are the ones that czmq and pyzmq write and read: lines `public-key = "Z85"` and, in the secret one,
 * `secret-key = "Z85"`; other lines are left alone.
 */
#ifndef PS_BUS_CURVE_H
#define PS_BUS_CURVE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"

#define PS_CURVE_KEY 32 /* bytes of a key */
#define PS_CURVE_DOMAIN "packetscope"

struct ps_bus;

struct ps_curve {
	bool insecure; /* plain tcp is allowed on every address */

	bool serves;
	uint8_t server_secret[PS_CURVE_KEY];
	char allow[256]; /* directory or file of public keys, read at each handshake */
	void *zap;       /* socket; the thread's own once it runs */
	pthread_t thread;
	uint64_t strangers; /* clients that were not let in; atomic */

	bool joins;
	uint8_t own_public[PS_CURVE_KEY], own_secret[PS_CURVE_KEY], server_public[PS_CURVE_KEY];
};

/* Ends the thread. The context must have been shut down. */
void ps_curve_free(struct ps_curve *c);

/* Prepares a socket for the bind of, or the connect to, `endpoint`: CURVE for tcp if there are keys, else plain. */
int ps_curve_bind(struct ps_bus *bus, void *socket, const char *endpoint, struct ps_error *err);
int ps_curve_connect(struct ps_bus *bus, void *socket, const char *endpoint, struct ps_error *err);

/* Of "tcp://address:port": does it reach only this host? */
bool ps_curve_is_loopback(const char *endpoint);

#endif
