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

#endif
