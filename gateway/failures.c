#include "gateway/failures.h"

static struct ps_addr key_of(const struct ps_addr *addr)
{
	struct ps_addr key = *addr;

	if (key.family == 6)
		key.word[2] = key.word[3] = 0;
	return key;
}

static bool over(const struct ps_failure *e, uint64_t now)
{
	return now - e->since >= PS_FAILURES_WINDOW_NS;
}

void ps_failures_add(struct ps_failures *f, const struct ps_addr *addr, uint64_t now)
{
	const struct ps_addr key = key_of(addr);
	struct ps_failure *e = &f->entry[0];

	f->total++;
	for (int i = 0; i < PS_FAILURES_MAX; i++) {
		if (ps_addr_equal(&f->entry[i].addr, &key)) {
			e = &f->entry[i];
			break;
		}
		if (f->entry[i].last < e->last)
			e = &f->entry[i];
	}
	if (!ps_addr_equal(&e->addr, &key) || over(e, now))
		*e = (struct ps_failure){.addr = key, .since = now};
	e->last = now;
	e->n++;
}

bool ps_failures_blocked(const struct ps_failures *f, const struct ps_addr *addr, uint64_t now)
{
	const struct ps_addr key = key_of(addr);

	for (int i = 0; i < PS_FAILURES_MAX; i++) {
		const struct ps_failure *e = &f->entry[i];

		if (ps_addr_equal(&e->addr, &key))
			return e->n >= PS_FAILURES_ALLOWED && !over(e, now);
	}
	return false;
}
