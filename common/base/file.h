/* Small files and streams, read whole. */
#ifndef PS_FILE_H
#define PS_FILE_H

#include <stddef.h>

#include "common/base/buf.h"

/* Appends a file's content, or what comes from a descriptor until its end. -EFBIG: more than `max` bytes. */
int ps_file_read(const char *path, size_t max, struct ps_buf *out);
int ps_file_read_fd(int fd, size_t max, struct ps_buf *out);

#endif
