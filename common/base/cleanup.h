/*
 * Cleanup attributes: a local that owns something says so where it is declared.
 *
 *	_cleanup_(ps_value_free) struct ps_value *v = NULL;
 *
 * Ownership leaves a function only through PS_TAKE.
 */
#ifndef PS_CLEANUP_H
#define PS_CLEANUP_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(fn) __attribute__((cleanup(fn)))

/* Hands the pointer over and leaves NULL behind. */
#define PS_TAKE(p) \
	({ \
		__typeof__(p) ps_taken = (p); \
		(p) = NULL; \
		ps_taken; \
	})

/* Hands the descriptor over and leaves -1 behind. */
#define PS_TAKE_FD(fd) \
	({ \
		int ps_taken = (fd); \
		(fd) = -1; \
		ps_taken; \
	})

static inline void ps_freep(void *p)
{
	free(*(void **)p);
	*(void **)p = NULL;
}

static inline void ps_closep(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

static inline void ps_fclosep(FILE **f)
{
	if (*f)
		(void)fclose(*f);
	*f = NULL;
}

#define _cleanup_free_ _cleanup_(ps_freep)
#define _cleanup_close_ _cleanup_(ps_closep)
#define _cleanup_fclose_ _cleanup_(ps_fclosep)

#define PS_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define PS_MIN(a, b) ((a) < (b) ? (a) : (b))
#define PS_MAX(a, b) ((a) > (b) ? (a) : (b))

#endif
