/* Small files and streams, read and written whole. */
#ifndef PS_FILE_H
#define PS_FILE_H

#include <stddef.h>
#include <sys/types.h>

#include "common/base/buf.h"

/* Appends a file's content, or what comes from a descriptor until its end. -EFBIG: more than `max` bytes. */
int ps_file_read(const char *path, size_t max, struct ps_buf *out);
int ps_file_read_fd(int fd, size_t max, struct ps_buf *out);

/* Makes `text` the content of a file: written beside it with that mode, brought to the disk, renamed. Whoever reads it
 * finds the old content or the new. */
int ps_file_replace(const char *path, mode_t mode, const struct ps_buf *text);

/* Writes all of it, and to the disk. 0, or -errno with a part of it written. */
int ps_file_write_fd(int fd, const struct ps_buf *text);

/*
 * Puts the text in the place of the file `name` in the directory: NAME.new, fsync, rename, fsync of the directory. At
 * any moment the file is the old or the new one; -errno: the old one, and NAME.new is gone. Mode 0640.
 */
int ps_file_replace_at(int dir, const char *name, const struct ps_buf *text);
/* The first half of it: NAME.new is written, and on the disk. */
int ps_file_prepare_at(int dir, const char *name, const struct ps_buf *text);
/* And the second. */
int ps_file_commit_at(int dir, const char *name);

#endif
