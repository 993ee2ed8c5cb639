#include "common/base/secret.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

int ps_secret_set(struct ps_secret *s, const char *text, size_t len)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (len + page) / page * page;
	char *at = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		return -ENOMEM;
	(void)madvise(at, room, MADV_DONTDUMP);
	memcpy(at, text, len);
	ps_secret_free(s);
	*s = (struct ps_secret){.text = at, .len = len, .room = room};
	return 0;
}

void ps_secret_free(struct ps_secret *s)
{
	if (s->text) {
		explicit_bzero(s->text, s->len);
		(void)munmap(s->text, s->room);
	}
	*s = (struct ps_secret){0};
}

int ps_secret_take_env(const char *name, struct ps_secret *s)
{
	char *value = getenv(name);
	size_t len = value ? strlen(value) : 0;
	int r = len ? ps_secret_set(s, value, len) : 0;

	if (value) {
		explicit_bzero(value, len);
		(void)unsetenv(name);
	}
	return r < 0 ? r : len > 0;
}

void ps_secret_no_dump(void)
{
	(void)prctl(PR_SET_DUMPABLE, 0);
}

void ps_secret_redact(const struct ps_secret *s, struct ps_buf *out, const char *text, size_t len)
{
	while (s->len >= PS_SECRET_REDACT_MIN && len >= s->len) {
		const char *at = memmem(text, len, s->text, s->len);

		if (!at)
			break;
		ps_buf_add(out, text, (size_t)(at - text));
		ps_buf_adds(out, PS_SECRET_SHOWN);
		len -= (size_t)(at - text) + s->len;
		text = at + s->len;
	}
	ps_buf_add(out, text, len);
}
