#include "cli/config_check.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/base/ini.h"
#include "common/base/options.h"

struct check {
	const struct ps_config_section *sections;
	unsigned n;
};

/* The template has a line "#KEY = …" for each option. */
static bool in_template(const char *text, const char *key)
{
	size_t len = strlen(key);

	for (const char *p = text; p; p = strchr(p, '\n'), p = p ? p + 1 : NULL) {
		if (p[0] == '#' && strncmp(p + 1, key, len) == 0 && strncmp(p + 1 + len, " =", 2) == 0)
			return true;
	}
	return false;
}

static bool knows(const struct ps_config_section *s, const char *key)
{
	if (s->template)
		return in_template(s->template, key);
	for (const struct ps_option *o = s->options; o && o->name; o++) {
		if (!o->deed && strcmp(o->name, key) == 0)
			return true;
	}
	return false;
}

static int check_pair(void *arg, const struct ps_ini_pair *pair, struct ps_error *err)
{
	const struct check *c = arg;
	bool common = strcmp(pair->section, "packetscope") == 0, section = common;

	if (!pair->value)
		return ps_ini_no_value(pair, err);
	for (unsigned i = 0; i < c->n; i++) {
		if (!common && strcmp(c->sections[i].name, pair->section) != 0)
			continue;
		section = true;
		if (knows(&c->sections[i], pair->key))
			return 0;
	}
	if (!section)
		return ps_error_set(err, -EINVAL, 400, "bad_config", pair->section,
			"%s:%d: no program reads a section [%s]; there are [packetscope] for all, [collector], "
			"[aggregator], [gateway], [ai-worker] and the verbs of packetscope",
			pair->path, pair->line, pair->section);
	return ps_error_set(err, -EINVAL, 400, "bad_config", pair->key,
		"%s:%d: there is no option %s; `packetscope-%s --print-config` lists them", pair->path, pair->line,
		pair->key, common ? "collector" : pair->section);
}

int ps_config_check(const char *path, const struct ps_config_section *sections, unsigned n, struct ps_error *err)
{
	struct check c = {.sections = sections, .n = n};

	return ps_ini_read(path, check_pair, &c, err);
}
