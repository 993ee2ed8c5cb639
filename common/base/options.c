/*
 * Each option's text is looked for in the flags, the environment and the file, in that order; it is then parsed once.
 * Nothing is stored before everything is right.
 */
#include "common/base/options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/ini.h"

#define OPTIONS_MAX 64 /* rows of one table; --help stays one screen */
#define ENV_PREFIX "PACKETSCOPE_"
#define COMMON_SECTION "packetscope"
#define HELP_COLUMN 30 /* where the help text begins */

/* What getopt_long_only returns for a long option: beyond every letter. Row i is LONG_FIRST + i. */
#define LONG_HELP 256
#define LONG_CONFIG 257
#define LONG_FIRST 258

struct source {
	const char *text;  /* NULL = not given here */
	const char *where; /* for messages: "--iface", "PACKETSCOPE_IFACE", the file's name */
	int line;          /* in the file; 0 elsewhere */
};

struct parse {
	const struct ps_option *table;
	size_t n;
	struct source flag[OPTIONS_MAX];
	struct source file[OPTIONS_MAX];
	bool own[OPTIONS_MAX]; /* file[i] stands in the program's own section */
	const char *config;
};

/* Strings out of files live as long as the program; they are kept on a list, so that they stay reachable. */
struct kept {
	struct kept *next;
	char text[];
};
static struct kept *kept_strings;

static const char *keep(const char *s)
{
	size_t n = strlen(s) + 1;
	struct kept *k = malloc(sizeof(*k) + n);
	if (!k)
		return NULL;
	memcpy(k->text, s, n);
	k->next = kept_strings;
	kept_strings = k;
	return k->text;
}

static int find(const struct parse *p, const char *name)
{
	for (size_t i = 0; i < p->n; i++) {
		if (strcmp(p->table[i].name, name) == 0)
			return (int)i;
	}
	return -ENOENT;
}

/* "a,b", for an option that is given again. */
static const char *join(const char *a, const char *b)
{
	_cleanup_free_ char *both = NULL;
	if (asprintf(&both, "%s,%s", a, b) < 0)
		return both = NULL;
	return keep(both);
}

/* --- flags --------------------------------------------------------------------------------------- */

static int bad_flag(const struct parse *p, int c, char **argv, struct ps_error *err)
{
	const char *word = argv[optind - 1];
	const char *name = word;
	if (optopt >= LONG_FIRST)
		name = p->table[optopt - LONG_FIRST].name;
	while (*name == '-')
		name++;
	if (c == ':')
		return ps_error_set(err, -EINVAL, 400, "bad_option", name, "%s needs a value; see --help", word);
	return ps_error_set(err, -EINVAL, 400, "bad_option", name,
		"There is no option %s (or it is an ambiguous abbreviation); "
		"see --help",
		word);
}

/* The tables of getopt_long_only; letters begins with '+'-less ':' so that a missing value is told apart. */
static void getopt_tables(const struct parse *p, struct option *longs, char *letters)
{
	bool help_letter = true;
	*letters++ = ':';
	for (size_t i = 0; i < p->n; i++) {
		const struct ps_option *o = &p->table[i];
		bool flag = o->type == PS_OPTION_BOOL;
		*longs++ = (struct option){.name = o->name,
			.has_arg = flag ? optional_argument : required_argument,
			.val = LONG_FIRST + (int)i};
		if (o->letter) {
			*letters++ = o->letter;
			if (!flag)
				*letters++ = ':';
		}
		help_letter = help_letter && o->letter != 'h';
	}
	if (help_letter)
		*letters++ = 'h';
	*letters = '\0';
	if (find(p, "config") < 0)
		*longs++ = (struct option){.name = "config", .has_arg = required_argument, .val = LONG_CONFIG};
	*longs++ = (struct option){.name = "help", .has_arg = no_argument, .val = LONG_HELP};
	*longs = (struct option){0};
}

static int row_of(const struct parse *p, int c)
{
	if (c >= LONG_FIRST)
		return c - LONG_FIRST;
	for (size_t i = 0; i < p->n; i++) {
		if (p->table[i].letter == c)
			return (int)i;
	}
	return -ENOENT;
}

static int read_flags(struct parse *p, int *argc, char **argv, struct ps_error *err)
{
	struct option longs[OPTIONS_MAX + 3];
	char letters[2 * OPTIONS_MAX + 3];
	getopt_tables(p, longs, letters);

	optind = 0; /* glibc: start anew, also for a second command line in one process */
	opterr = 0;
	int c;
	while ((c = getopt_long_only(*argc, argv, letters, longs, NULL)) != -1) {
		int row = row_of(p, c);
		if (row >= 0 && p->table[row].list && p->flag[row].text) {
			p->flag[row].text = join(p->flag[row].text, optarg);
			if (!p->flag[row].text)
				return ps_error_set(err, -ENOMEM, 500, "no_memory", p->table[row].name, "No memory");
		} else if (row >= 0)
			p->flag[row] = (struct source){.text = optarg ? optarg : "true", .where = "the command line"};
		else if (c == LONG_HELP || c == 'h')
			return -ECANCELED;
		else if (c == LONG_CONFIG)
			p->config = optarg;
		else
			return bad_flag(p, c, argv, err);
	}

	int operands = *argc - optind;
	memmove(argv + 1, argv + optind, (size_t)operands * sizeof(*argv));
	argv[1 + operands] = NULL;
	*argc = 1 + operands;
	return 0;
}

/* --- environment --------------------------------------------------------------------------------- */

/* PACKETSCOPE_RUN_DIR for "run-dir". An empty variable is as good as none: that is how compose files and units leave
 * one out. */
static const char *environment(const char *name, char *ret_variable, size_t size)
{
	(void)snprintf(ret_variable, size, ENV_PREFIX "%s", name);
	for (char *q = ret_variable; *q; q++)
		*q = (char)(*q == '-' ? '_' : toupper((unsigned char)*q));
	const char *text = getenv(ret_variable);
	return text && *text ? text : NULL;
}

/* --- file ---------------------------------------------------------------------------------------- */

struct reading {
	struct parse *p;
	const char *program;
};

static int file_pair(void *arg, const struct ps_ini_pair *pair, struct ps_error *err)
{
	struct reading *r = arg;
	struct parse *p = r->p;
	bool own = strcmp(pair->section, r->program) == 0;
	if (!own && strcmp(pair->section, COMMON_SECTION) != 0)
		return 0;
	if (!pair->value)
		return ps_ini_no_value(pair, err);

	int row = find(p, pair->key);
	if (row >= 0 && p->table[row].deed)
		row = -ENOENT;
	if (row < 0 && own)
		return ps_error_set(err, -EINVAL, 400, "bad_config", pair->key,
			"%s:%d: there is no option %s; see --help", pair->path, pair->line, pair->key);
	if (row < 0 || (!own && p->own[row]))
		return 0;
	const char *text = keep(pair->value);
	if (!text)
		return ps_error_set(err, -ENOMEM, 500, "no_memory", pair->key, "No memory to read %s", pair->path);
	p->file[row] = (struct source){.text = text, .where = pair->path, .line = pair->line};
	p->own[row] = own;
	return 0;
}

static int read_file(struct parse *p, const char *program, const char *path, struct ps_error *err)
{
	struct reading r = {.p = p, .program = program};
	return ps_ini_read(path, file_pair, &r, err);
}

static int find_and_read_file(struct parse *p, const char *program, const char *default_file, struct ps_error *err)
{
	char variable[96];
	int row = find(p, "config");
	const char *path = row >= 0 ? p->flag[row].text : p->config;
	if (!path)
		path = environment("config", variable, sizeof(variable));
	if (path && *path)
		return read_file(p, program, path, err);
	if (default_file && access(default_file, F_OK) == 0)
		return read_file(p, program, default_file, err);
	return 0;
}

/* --- values -------------------------------------------------------------------------------------- */

union value {
	const char *str;
	bool boolean;
	uint64_t number;
};

static int parse_bool(const char *text, bool *ret)
{
	static const char *const words[][2] = {{"false", "true"}, {"0", "1"}, {"no", "yes"}, {"off", "on"}};
	for (size_t i = 0; i < PS_ARRAY_SIZE(words); i++) {
		for (int b = 0; b < 2; b++) {
			if (strcasecmp(text, words[i][b]) == 0) {
				*ret = b;
				return 0;
			}
		}
	}
	return -EINVAL;
}

/* Decimal digits at *text, which moves behind them. */
static int parse_digits(const char **text, uint64_t *ret)
{
	uint64_t v = 0;
	const char *s = *text;
	if (!isdigit((unsigned char)*s))
		return -EINVAL;
	for (; isdigit((unsigned char)*s); s++) {
		if (__builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
			return -ERANGE;
	}
	*text = s;
	*ret = v;
	return 0;
}

static int parse_u64(const char *text, uint64_t *ret)
{
	uint64_t v;
	int r = parse_digits(&text, &v);
	if (r < 0)
		return r;
	if (*text)
		return -EINVAL;
	*ret = v;
	return 0;
}

/* "5", "0.5", "120s", "5m", "2h" in ns; digits beyond the ninth of the fraction are below the clock's. */
static int parse_seconds(const char *text, uint64_t *ret)
{
	uint64_t whole, fraction = 0, unit = 1, ns;
	int r = parse_digits(&text, &whole);
	if (r < 0)
		return r;
	if (*text == '.') {
		uint64_t scale = PS_NSEC / 10;
		text++;
		if (!isdigit((unsigned char)*text))
			return -EINVAL;
		for (; isdigit((unsigned char)*text); text++, scale /= 10)
			fraction += (uint64_t)(*text - '0') * scale;
	}
	if (*text == 's' || *text == 'm' || *text == 'h') {
		unit = *text == 's' ? 1 : *text == 'm' ? 60 : 3600;
		text++;
	}
	if (*text)
		return -EINVAL;
	if (__builtin_mul_overflow(whole, unit * PS_NSEC, &ns) || __builtin_add_overflow(ns, fraction * unit, &ns))
		return -ERANGE;
	*ret = ns;
	return 0;
}

static int parse_value(const struct ps_option *o, const char *text, union value *ret)
{
	int r = 0;
	switch (o->type) {
	case PS_OPTION_STR:
		ret->str = text;
		return 0;
	case PS_OPTION_BOOL:
		return parse_bool(text, &ret->boolean);
	case PS_OPTION_U64:
		r = parse_u64(text, &ret->number);
		break;
	case PS_OPTION_SECONDS:
		r = parse_seconds(text, &ret->number);
		break;
	}
	if (r < 0)
		return r;
	return ret->number < o->min || (o->max && ret->number > o->max) ? -ERANGE : 0;
}

/* "a number from 1 to 5": what the option would have taken. */
static void describe(const struct ps_option *o, char *buf, size_t size)
{
	uint64_t unit = o->type == PS_OPTION_SECONDS ? PS_NSEC : 1;
	const char *noun = o->type == PS_OPTION_SECONDS ? "seconds (5, 0.5, 120s, 5m, 2h)" : "a whole number";
	double lo = (double)o->min / (double)unit, hi = (double)o->max / (double)unit;
	if (o->type == PS_OPTION_BOOL)
		(void)snprintf(buf, size, "true or false");
	else if (o->max)
		(void)snprintf(buf, size, "%s from %.15g to %.15g", noun, lo, hi);
	else if (o->min)
		(void)snprintf(buf, size, "%s, at least %.15g", noun, lo);
	else
		(void)snprintf(buf, size, "%s", noun);
}

static int read_value(const struct parse *p, size_t i, union value *ret, struct ps_error *err)
{
	const struct ps_option *o = &p->table[i];
	char variable[96];
	struct source s = p->flag[i];
	if (!s.text && !o->deed)
		s = (struct source){.text = environment(o->name, variable, sizeof(variable)), .where = variable};
	if (!s.text)
		s = p->file[i];
	if (!s.text)
		s = (struct source){.text = o->fallback, .where = "the default"};
	*ret = (union value){0};
	if (!s.text || parse_value(o, s.text, ret) == 0)
		return 0;

	char wanted[128], line[16] = "";
	describe(o, wanted, sizeof(wanted));
	if (s.line)
		(void)snprintf(line, sizeof(line), ":%d", s.line);
	return ps_error_set(err, -EINVAL, 400, "bad_option", o->name, "%s must be %s, not \"%.64s\" (%s%s)", o->name,
		wanted, s.text, s.where, line);
}

static void store(const struct ps_option *o, const union value *v, void *settings)
{
	void *to = (char *)settings + o->offset;
	switch (o->type) {
	case PS_OPTION_STR:
		memcpy(to, &v->str, sizeof(v->str));
		break;
	case PS_OPTION_BOOL:
		memcpy(to, &v->boolean, sizeof(v->boolean));
		break;
	case PS_OPTION_U64:
	case PS_OPTION_SECONDS:
		memcpy(to, &v->number, sizeof(v->number));
		break;
	}
}

int ps_options_parse(const struct ps_option *table, const char *program, const char *default_file, int *argc,
	char **argv, void *settings, struct ps_error *err)
{
	struct parse p = {.table = table};
	union value values[OPTIONS_MAX];

	while (table[p.n].name) {
		if (++p.n > OPTIONS_MAX)
			return ps_error_set(err, -E2BIG, 500, "bad_table", "", "More than %d options", OPTIONS_MAX);
	}
	int r = read_flags(&p, argc, argv, err);
	if (r < 0)
		return r;
	r = find_and_read_file(&p, program, default_file, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < p.n; i++) {
		r = read_value(&p, i, &values[i], err);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < p.n; i++)
		store(&table[i], &values[i], settings);
	return 0;
}

/* --- a file to begin with ------------------------------------------------------------------------ */

void ps_options_template(const struct ps_option *table, const char *program, struct ps_buf *out)
{
	ps_buf_addf(out, "[%s]\n", program);
	for (const struct ps_option *o = table; o->name; o++) {
		if (o->deed || strcmp(o->name, "config") == 0)
			continue;
		ps_buf_addf(out, "\n# %s%s%s\n#%s = %s\n", o->help, o->arg ? ": " : "", o->arg ? o->arg : "", o->name,
			o->fallback ? o->fallback : "");
	}
}

/* --- help ---------------------------------------------------------------------------------------- */

/* Columns on the screen: characters, not bytes. */
static size_t columns(const char *s)
{
	size_t n = 0;
	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static void help_row(struct ps_buf *out, const struct ps_option *o)
{
	size_t width = 6 + 2 + strlen(o->name) + (o->arg ? 1 + columns(o->arg) : 0);
	if (o->letter)
		ps_buf_addf(out, "  -%c, --%s", o->letter, o->name);
	else
		ps_buf_addf(out, "      --%s", o->name);
	if (o->arg)
		ps_buf_addf(out, " %s", o->arg);
	if (width + 2 > HELP_COLUMN) {
		ps_buf_addc(out, '\n');
		width = 0;
	}
	ps_buf_addf(out, "%*s%s", (int)(HELP_COLUMN - width), "", o->help);
	if (o->fallback && *o->fallback && o->type != PS_OPTION_BOOL)
		ps_buf_addf(out, " (%s)", o->fallback);
	ps_buf_addc(out, '\n');
}

void ps_options_help(const struct ps_option *table, struct ps_buf *out)
{
	static const struct ps_option help = {
		.name = "help", .letter = 'h', .type = PS_OPTION_BOOL, .help = "show this"};
	struct ps_option row = help;
	for (const struct ps_option *o = table; o->name; o++) {
		help_row(out, o);
		if (o->letter == 'h')
			row.letter = 0;
	}
	help_row(out, &row);
}
