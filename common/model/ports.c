/* See ports.h. */
#include "common/model/ports.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/model/utf8.h"

/* Parts of a list that are read: more say no more, since they are merged, but a list has to end somewhere. */
#define PARTS_MAX 256

const struct ps_port_range *ps_ports_ranges(const struct ps_ports *p)
{
	return p->n > PS_PORTS_INSIDE ? p->u.many : p->u.few;
}

struct ps_ports ps_ports_one(uint16_t port)
{
	return ps_ports_span(port, port);
}

struct ps_ports ps_ports_span(uint16_t lo, uint16_t hi)
{
	return (struct ps_ports){.n = lo ? 1 : 0, .u.few[0] = {lo, lo ? hi : 0}};
}

static int compare_ranges(const void *a, const void *b)
{
	const struct ps_port_range *x = a, *y = b;

	return (x->lo > y->lo) - (x->lo < y->lo);
}

/* Sorts, and merges what touches. Returns how many are left. */
static size_t normalise(struct ps_port_range *r, size_t n)
{
	size_t kept = 0;

	if (n)
		qsort(r, n, sizeof(*r), compare_ranges);
	for (size_t i = 1; i < n; i++) {
		if (r[i].lo <= r[kept].hi + 1)
			r[kept].hi = PS_MAX(r[kept].hi, r[i].hi);
		else
			r[++kept] = r[i];
	}
	return n ? kept + 1 : 0;
}

/* From normalised ranges. */
static int adopt(const struct ps_port_range *r, size_t n, struct ps_ports *ret_ports)
{
	struct ps_ports p = {.n = (uint16_t)n};

	if (n > PS_PORTS_INSIDE) {
		p.u.many = malloc(n * sizeof(*r));
		if (!p.u.many)
			return -ENOMEM;
		memcpy(p.u.many, r, n * sizeof(*r));
	} else {
		memcpy(p.u.few, r, n * sizeof(*r));
	}
	*ret_ports = p;
	return 0;
}

int ps_ports_set(const struct ps_port_range *ranges, size_t n, struct ps_ports *ret_ports)
{
	struct ps_port_range r[PARTS_MAX];

	if (n > PARTS_MAX)
		return -E2BIG;
	for (size_t i = 0; i < n; i++)
		if (!ranges[i].lo || ranges[i].lo > ranges[i].hi)
			return -EINVAL;
	if (n)
		memcpy(r, ranges, n * sizeof(*r));
	n = normalise(r, n);
	return n > PS_RULE_PORTS_MAX ? -E2BIG : adopt(r, n, ret_ports);
}

/* --- Text ------------------------------------------------------------------------------------ */

/* A piece of the text without the blanks around it. */
struct part {
	const char *s;
	size_t n;
};

static struct part trimmed(const char *s, size_t n)
{
	while (n && (*s == ' ' || *s == '\t'))
		s++, n--;
	while (n && (s[n - 1] == ' ' || s[n - 1] == '\t'))
		n--;
	return (struct part){s, n};
}

/* Cuts off the piece up to the next `by`, or all. */
static struct part cut(struct part *rest, char by)
{
	const char *at = memchr(rest->s, by, rest->n);
	size_t n = at ? (size_t)(at - rest->s) : rest->n;
	struct part p = trimmed(rest->s, n);

	rest->s += at ? n + 1 : n;
	rest->n -= at ? n + 1 : n;
	return p;
}

static bool is_word(struct part p, const char *word)
{
	return p.n == strlen(word) && !memcmp(p.s, word, p.n);
}

/* A decimal number of at most five digits. */
static bool number(struct part p, unsigned *ret_number)
{
	unsigned v = 0;

	if (!p.n || p.n > 5)
		return false;
	for (size_t i = 0; i < p.n; i++) {
		if (p.s[i] < '0' || p.s[i] > '9')
			return false;
		v = v * 10 + (unsigned)(p.s[i] - '0');
	}
	*ret_number = v;
	return true;
}

static int bad_part(struct ps_error *err, const char *field, struct part p, const char *remedy)
{
	size_t n = ps_utf8_valid(p.s, p.n) ? ps_utf8_cut(p.s, p.n, 24) : 0;

	return ps_error_set(err, -EINVAL, 400, "bad_value", field, "%s has \"%.*s%s\"; %s", field, (int)n, p.s,
		n < p.n ? "\xe2\x80\xa6" : "", remedy);
}

static int parse_range(struct part p, const char *field, struct ps_port_range *ret_range, struct ps_error *err)
{
	bool span = p.n && memchr(p.s, '-', p.n);
	struct part rest = p, low = cut(&rest, '-'), high = trimmed(rest.s, rest.n);
	unsigned lo = 0, hi;
	char remedy[96];

	if (!p.n)
		return ps_error_set(err, -EINVAL, 400, "bad_value", field,
			"%s has nothing before or behind a comma; write ports like 22,80,8000-8100", field);
	if (!number(low, &lo) || (span && !number(high, &hi)))
		return bad_part(err, field, p, "a port is a whole number from 1 to 65535, a range is like 8000-8100");
	if (!span)
		hi = lo;
	if (lo > UINT16_MAX || hi > UINT16_MAX)
		return bad_part(err, field, p, "ports end at 65535");
	if (lo > hi) {
		(void)snprintf(remedy, sizeof(remedy), "a range begins with its lower end: write %u-%u", hi, lo);
		return bad_part(err, field, p, remedy);
	}
	if (!lo)
		return bad_part(err, field, p, "ports begin at 1; 0 alone stands for any, without a list or range");
	*ret_range = (struct ps_port_range){(uint16_t)lo, (uint16_t)hi};
	return 0;
}

int ps_ports_parse(const char *text, size_t len, const char *field, struct ps_ports *ret_ports, struct ps_error *err)
{
	struct part rest = trimmed(text, len);
	struct ps_port_range r[PARTS_MAX] = {{0, 0}};
	unsigned zero = 1;
	size_t n = 0;
	bool more;
	int ret;

	if (!rest.n || is_word(rest, "any") || (number(rest, &zero) && !zero)) {
		*ret_ports = (struct ps_ports){0};
		return 0;
	}
	do {
		more = memchr(rest.s, ',', rest.n);
		if (n == PARTS_MAX)
			return ps_error_set(err, -EINVAL, 400, "bad_value", field,
				"%s has more than %d parts; write neighbours as ranges, or make several rules", field,
				PARTS_MAX);
		ret = parse_range(cut(&rest, ','), field, &r[n++], err);
		if (ret)
			return ret;
	} while (more);
	ret = ps_ports_set(r, n, ret_ports);
	if (ret == -E2BIG)
		return ps_error_set(err, -EINVAL, 400, "bad_value", field,
			"%s names %zu separate ranges; a rule holds %d, so make several rules", field, normalise(r, n),
			PS_RULE_PORTS_MAX);
	return ret ? ps_error_set(err, ret, 507, "no_memory", field, "no memory for another rule") : 0;
}

char *ps_ports_format(const struct ps_ports *p, char buf[static PS_PORTS_TEXT])
{
	const struct ps_port_range *r = ps_ports_ranges(p);
	size_t at = 0;

	memcpy(buf, "0", sizeof("0"));
	for (size_t i = 0; i < p->n; i++) {
		const char *comma = i ? "," : "";
		int n = r[i].lo == r[i].hi ? snprintf(buf + at, PS_PORTS_TEXT - at, "%s%u", comma, r[i].lo)
					   : snprintf(buf + at, PS_PORTS_TEXT - at, "%s%u-%u", comma, r[i].lo, r[i].hi);

		at += n > 0 ? (size_t)n : 0;
	}
	return buf;
}

/* --- Ownership and comparing ----------------------------------------------------------------- */

int ps_ports_copy(const struct ps_ports *from, struct ps_ports *ret_ports)
{
	return adopt(ps_ports_ranges(from), from->n, ret_ports);
}

void ps_ports_clear(struct ps_ports *p)
{
	if (p->n > PS_PORTS_INSIDE)
		free(p->u.many);
	*p = (struct ps_ports){0};
}

bool ps_ports_equal(const struct ps_ports *a, const struct ps_ports *b)
{
	return a->n == b->n && !memcmp(ps_ports_ranges(a), ps_ports_ranges(b), a->n * sizeof(struct ps_port_range));
}

bool ps_ports_have(const struct ps_ports *p, uint16_t port)
{
	const struct ps_port_range *r = ps_ports_ranges(p);

	for (size_t i = 0; i < p->n; i++)
		if (port >= r[i].lo && port <= r[i].hi)
			return true;
	return !p->n;
}

bool ps_ports_contain(const struct ps_ports *outer, const struct ps_ports *inner)
{
	const struct ps_port_range *o = ps_ports_ranges(outer), *r = ps_ports_ranges(inner);

	if (!outer->n)
		return true;
	for (size_t i = 0, k = 0; i < inner->n; i++) {
		while (k < outer->n && o[k].hi < r[i].lo)
			k++;
		if (k == outer->n || r[i].lo < o[k].lo || r[i].hi > o[k].hi)
			return false;
	}
	return inner->n;
}
