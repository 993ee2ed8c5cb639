#include "common/base/ini.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"

#define SECTION_MAX 64 /* bytes of a section's name; ours have 11 */

static char *trim(char *s)
{
	while (isspace((unsigned char)*s))
		s++;
	char *end = s + strlen(s);
	while (end > s && isspace((unsigned char)end[-1]))
		end--;
	*end = '\0';
	return s;
}

static int bad(struct ps_error *err, const struct ps_ini_pair *at, const char *what)
{
	return ps_error_set(err, -EINVAL, 400, "bad_config", "", "%s:%d: %s", at->path, at->line, what);
}

/* A line with something on it, trimmed. */
static int read_line(char *s, char section[static SECTION_MAX], struct ps_ini_pair *at, ps_ini_fn fn, void *arg,
	struct ps_error *err)
{
	size_t n = strlen(s);
	if (*s == '[' && s[n - 1] == ']') {
		s[n - 1] = '\0';
		if (snprintf(section, SECTION_MAX, "%s", trim(s + 1)) >= SECTION_MAX)
			return bad(err, at, "the name of this section is too long");
		return 0;
	}
	if (!*section)
		return bad(err, at, "a key stands under a section; begin with [packetscope]");
	char *equals = strchr(s, '='), *value = NULL;
	if (equals) {
		*equals = '\0';
		value = trim(equals + 1);
		n = strlen(value);
		if (n >= 2 && value[0] == '"' && value[n - 1] == '"') {
			value[n - 1] = '\0';
			value++;
		}
	}
	at->section = section;
	at->key = trim(s);
	at->value = value;
	return fn(arg, at, err);
}

int ps_ini_no_value(const struct ps_ini_pair *pair, struct ps_error *err)
{
	return bad(err, pair, "expected key = value");
}

int ps_ini_read(const char *path, ps_ini_fn fn, void *arg, struct ps_error *err)
{
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	if (!f) {
		int e = errno;
		return ps_error_set(err, -EINVAL, 400, "bad_config", "config", "Cannot read %s: %s", path, strerror(e));
	}

	_cleanup_free_ char *text = NULL;
	size_t cap = 0;
	char section[SECTION_MAX] = "";
	for (int line = 1; getline(&text, &cap, f) >= 0; line++) {
		struct ps_ini_pair at = {.path = path, .line = line};
		char *s = trim(text);
		if (!*s || *s == '#' || *s == ';')
			continue;
		int r = read_line(s, section, &at, fn, arg, err);
		if (r < 0)
			return r;
	}
	if (ferror(f))
		return ps_error_set(
			err, -EINVAL, 400, "bad_config", "config", "Cannot read %s: %s", path, strerror(errno));
	return 0;
}
