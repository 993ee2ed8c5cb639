/*
 * Numbers as people read them. Decimal prefixes (1 kB = 1000 bytes), as network equipment counts.
 */
#ifndef PS_HUMAN_H
#define PS_HUMAN_H

#include <stdint.h>

#define PS_HUMAN_TEXT 32

char *ps_human_count(uint64_t n, char buf[static PS_HUMAN_TEXT]);     /* "42", "1,234,567" */
char *ps_human_bytes(uint64_t bytes, char buf[static PS_HUMAN_TEXT]); /* "999 B", "1.2 kB", "3.4 GB" */
char *ps_human_rate(double per_second, const char *unit,
	char buf[static PS_HUMAN_TEXT]);                             /* "12 bit/s", "1.2 Mbit/s"; unit "bit/s" */
char *ps_human_span(double seconds, char buf[static PS_HUMAN_TEXT]); /* "12 ms", "3.4 s", "5m12s", "2h03m", "4d06h" */

/* RFC 3339 in UTC, fraction allowed, to ns since 1970. 0, or -EINVAL. */
int ps_human_parse_time(const char *text, uint64_t *ret_wall_ns);

#endif
