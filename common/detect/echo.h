/* Echo messages of ICMP and ICMPv6. Internal to common/detect/. */
#ifndef PS_DETECT_ECHO_H
#define PS_DETECT_ECHO_H

#include <stdbool.h>

#include "bpf/abi.h"
#include "common/model/schema.h"

static inline bool ps_echo_is_request(const struct ps_icmp *i)
{
	return i->icmp_type == (i->src_ip.family == PS_FAMILY_IPV6 ? 128 : 8) && i->icmp_code == 0;
}

static inline bool ps_echo_is_reply(const struct ps_icmp *i)
{
	return i->icmp_type == (i->src_ip.family == PS_FAMILY_IPV6 ? 129 : 0) && i->icmp_code == 0;
}

#endif
