/*
 * The certificate and key with which the gateway speaks HTTPS (RFC 8446): two PEM files, read once at the start.
 */
#ifndef PS_TLS_H
#define PS_TLS_H

#include "common/base/error.h"

struct ps_tls {
	char *cert, *key; /* PEM, owned */
};

void ps_tls_free(struct ps_tls *tls); /* leaves it empty; overwrites the key; fits _cleanup_ */

/*
 * Both paths or none ("": no TLS, *ret_tls stays empty). -errno fills err, naming the option: one is missing, a file
 * cannot be read or is no PEM, or others may read the key. Whether the two belong together shows when the server
 * starts.
 */
int ps_tls_load(const char *cert_path, const char *key_path, struct ps_tls *ret_tls, struct ps_error *err);

#endif
