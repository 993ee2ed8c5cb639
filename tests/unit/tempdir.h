/*
 * A directory for the sockets and files of one test program, removed with what is in it at the end.
 */
#ifndef PS_TEST_TEMPDIR_H
#define PS_TEST_TEMPDIR_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char tempdir[] = "/tmp/packetscope-test-XXXXXX";

static inline int tempdir_make(void **state)
{
	(void)state;
	/* A test that fails leaves its sockets open, and the end of the bus waits for them: what failed must be out by
	 * then. */
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	return mkdtemp(tempdir) ? 0 : -1;
}

static inline int tempdir_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline int tempdir_remove(void **state)
{
	(void)state;
	return nftw(tempdir, tempdir_remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* "PREFIX/tmp/…/NAME"; valid until the program ends or the fourth call from now. */
static inline const char *tempdir_path(const char *prefix, const char *name)
{
	static char text[4][128];
	static int next;
	char *to = text[next++ % 4];
	(void)snprintf(to, sizeof(text[0]), "%s%s/%s", prefix, tempdir, name);
	return to;
}

#endif
