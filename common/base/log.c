#include "common/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"

#define LINE_MAX_BYTES 4096  /* PIPE_BUF: up to here one write(2) to a pipe is not mixed with another's */
#define PIECE_MAX_BYTES 900  /* of a long text: fits a line also when every byte is escaped */
#define PAIRS_MAX_BYTES 2048 /* of one line, before escaping */

static const char *const level_names[] = {
	[PS_LOG_ERROR] = "error",
	[PS_LOG_WARN] = "warn",
	[PS_LOG_INFO] = "info",
	[PS_LOG_DEBUG] = "debug",
};

static struct {
	char program[32];
	enum ps_log_level level;
	bool journal; /* the reader puts its own time stamp */
} state = {.program = "packetscope", .level = PS_LOG_INFO};

/* True when standard error is what JOURNAL_STREAM names, not something it was redirected to later. */
static bool to_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;
	return stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
	       st.st_dev == (dev_t)dev && st.st_ino == (ino_t)ino;
}

void ps_log_setup(const char *program, enum ps_log_level level)
{
	(void)snprintf(state.program, sizeof(state.program), "%s", program);
	state.level = level;
	state.journal = to_journal();
}

int ps_log_level_parse(const char *text, enum ps_log_level *ret_level)
{
	for (size_t i = 0; i < PS_ARRAY_SIZE(level_names); i++) {
		if (strcmp(text, level_names[i]) == 0) {
			*ret_level = (enum ps_log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

/* A line under construction; what does not fit is cut off. One byte is kept for the newline. */
struct line {
	char text[LINE_MAX_BYTES];
	size_t len;
};

static void put(struct line *l, const char *s, size_t n)
{
	if (n <= sizeof(l->text) - 1 - l->len) {
		memcpy(l->text + l->len, s, n);
		l->len += n;
	}
}

static void put_string(struct line *l, const char *s)
{
	put(l, s, strlen(s));
}

/*
 * Text from anywhere, without what could forge a line or drive a terminal: C0, DEL and C1 (U+0080 to U+009F) are
 * escaped. `quoted`: it stands between double quotes, so those and the backslash are escaped too.
 */
static void put_escaped(struct line *l, const char *s, bool quoted)
{
	for (const uint8_t *p = (const uint8_t *)s; *p; p++) {
		char escaped[8];
		if (*p == '\n') {
			put(l, "\\n", 2);
		} else if (*p < 0x20 || *p == 0x7f) {
			(void)snprintf(escaped, sizeof(escaped), "\\x%02x", *p);
			put_string(l, escaped);
		} else if (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0) {
			(void)snprintf(escaped, sizeof(escaped), "\\u%04x", *++p);
			put_string(l, escaped);
		} else {
			if (quoted && (*p == '"' || *p == '\\'))
				put(l, "\\", 1);
			put(l, (const char *)p, 1);
		}
	}
}

static void put_quoted(struct line *l, const char *key, const char *value)
{
	put_string(l, key);
	put(l, "=\"", 2);
	put_escaped(l, value, true);
	put(l, "\"", 1);
}

static void begin(struct line *l, enum ps_log_level level, const char *msg)
{
	l->len = 0;
	if (!state.journal) {
		char ts[PS_RFC3339_SIZE];
		ps_rfc3339(ps_clock_wall(), ts);
		put_string(l, "ts=");
		put(l, ts, strlen("2026-01-02T03:04:05.678"));
		put_string(l, "Z ");
	}
	put_string(l, "level=");
	put_string(l, level_names[level]);
	put_string(l, " prog=");
	put_escaped(l, state.program, false);
	put(l, " ", 1);
	put_quoted(l, "msg", msg);
}

static void finish(struct line *l)
{
	l->text[l->len++] = '\n';
	/* Nobody can be told when standard error is gone. */
	ssize_t ignored = write(STDERR_FILENO, l->text, l->len);
	(void)ignored;
}

void ps_log(enum ps_log_level level, const char *msg, const char *fmt, ...)
{
	if (level > state.level)
		return;

	struct line l;
	begin(&l, level, msg);
	if (fmt) {
		char pairs[PAIRS_MAX_BYTES];
		va_list args;
		va_start(args, fmt);
		(void)vsnprintf(pairs, sizeof(pairs), fmt, args);
		va_end(args);
		put(&l, " ", 1);
		put_escaped(&l, pairs, false);
	}
	finish(&l);
}

/* Bytes of the next piece: up to the end of the line, at most PIECE_MAX_BYTES, no character cut in two. */
static size_t piece(const char *text)
{
	size_t n = strcspn(text, "\n");

	if (n <= PIECE_MAX_BYTES)
		return n;
	n = PIECE_MAX_BYTES;
	while (n > PIECE_MAX_BYTES - 4 && ((unsigned char)text[n] & 0xc0) == 0x80)
		n--;
	return n;
}

void ps_log_text(const char *msg, const char *step, const char *text)
{
	while (*text) {
		char part[PIECE_MAX_BYTES + 1];
		size_t n = piece(text);
		struct line l;

		(void)snprintf(part, sizeof(part), "%.*s", (int)n, text);
		begin(&l, PS_LOG_DEBUG, msg);
		put(&l, " ", 1);
		put_quoted(&l, "step", step);
		put(&l, " ", 1);
		put_quoted(&l, "text", part);
		finish(&l);
		text += n + (text[n] == '\n');
	}
}

void ps_log_failure(const char *msg, int ret, const struct ps_error *err)
{
	struct line l;
	begin(&l, PS_LOG_ERROR, msg);
	if (ret < 0) {
		put(&l, " ", 1);
		put_quoted(&l, "errno", strerror(-ret));
	}
	if (err && err->code[0]) {
		put(&l, " ", 1);
		put_quoted(&l, "code", err->code);
	}
	if (err && err->field[0]) {
		put(&l, " ", 1);
		put_quoted(&l, "field", err->field);
	}
	if (err && err->message[0]) {
		put(&l, " ", 1);
		put_quoted(&l, "reason", err->message);
	}
	finish(&l);
}
