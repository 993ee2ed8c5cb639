/*
 * What a detector must know of well-known services (traits.def) and of addresses. Pure; internal to common/detect/.
 */
#ifndef PS_DETECT_TRAITS_H
#define PS_DETECT_TRAITS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/model/addr.h"

#define PS_SERVICE_LOGIN 1u
#define PS_SERVICE_AMPLIFIES 2u
#define PS_SERVICE_POLLED 4u
#define PS_SERVICE_PERIODIC 8u

/* PS_SERVICE_* of a service; 0 for one that is in no row. */
unsigned ps_service_traits(uint8_t proto, uint16_t port);
/* Its name, or NULL. */
const char *ps_service_name(uint8_t proto, uint16_t port);

/* Multicast, or IPv4's broadcast address. */
bool ps_addr_is_group(const struct ps_addr *a);
/* RFC 1918, 6598, 4193, loopback and link-local: within one's own networks. */
bool ps_addr_is_private(const struct ps_addr *a);

#endif
