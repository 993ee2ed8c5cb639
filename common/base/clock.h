/*
 * Clocks. Kernel records carry boot time (CLOCK_BOOTTIME ns), people want wall-clock time (ns since 1970).
 * The difference is read when a record is shown, so that a time stays right after suspend and after a step of the wall
 * clock.
 */
#ifndef PS_CLOCK_H
#define PS_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define PS_NSEC 1000000000ull

uint64_t ps_clock_boot(void); /* CLOCK_BOOTTIME, ns */
uint64_t ps_clock_wall(void); /* CLOCK_REALTIME, ns since 1970 */

/* wall - boot, read closely together, ns. Add it to a boot time to get a wall time. */
int64_t ps_clock_wall_offset(void);

/* boot - monotonic, ns: the time spent in suspend. For ps_runtime.clock_offset. */
uint64_t ps_clock_suspended(void);

/* RFC 3339 in UTC with six digits of fraction, "2026-01-02T03:04:05.678901Z"; 28 bytes with the NUL. Returns buf. */
#define PS_RFC3339_SIZE 32
char *ps_rfc3339(uint64_t wall_ns, char buf[static PS_RFC3339_SIZE]);

/*
 * Reads what ps_rfc3339 writes, and RFC 3339 as others do: "T" or a blank between date and time, any fraction, Z or an
 * offset. -EINVAL: not such a text, or before 1970, or after 2500.
 */
int ps_rfc3339_parse(const char *text, size_t len, uint64_t *ret_wall_ns);

#endif
