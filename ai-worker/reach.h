/*
 * Addresses that an LLM endpoint has no business at: link-local ones and those where clouds serve the credentials of
 * their machines. Looked at when the connection is made, after names have become addresses, so that no name leads
 * there. Pure.
 */
#ifndef PS_AI_REACH_H
#define PS_AI_REACH_H

#include <stdbool.h>

#include "common/model/addr.h"

/* Why it must not be reached: "a link-local address (cloud metadata is served there)"; NULL = it may be. */
const char *ps_reach_refusal(const struct ps_addr *a);

/* Loopback, private (RFC 1918, RFC 4193) or shared (RFC 6598): a machine of one's own. */
bool ps_reach_local(const struct ps_addr *a);

#endif
