/*
 * Entity tags (RFC 9110, 8.8.3) of what has a generation: a rule's is the one in which it last changed, the set's its
 * own. So a tag says nothing about counters, which move all the time.
 */
#ifndef PS_ETAG_H
#define PS_ETAG_H

#include <stdint.h>

#define PS_ETAG_TEXT 24

/* "\"7\"", quotes included. Returns buf. */
char *ps_etag_format(uint64_t generation, char buf[static PS_ETAG_TEXT]);

/*
 * Reads an If-Match header. 0: *ret_generation is the one that is asked for. 1: "*". -EINVAL: a list, a weak tag, or
 * none that we ever gave: no change may be based on it.
 */
int ps_etag_match(const char *header, uint64_t *ret_generation);

#endif
