#include "aggregator/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/codec/json.h"

#define AUDIT "audit.jsonl"

static struct ps_value *rule_or_null(const struct ps_rule *rule, uint64_t now)
{
	return rule ? ps_rule_to_value(rule, now) : ps_value_null();
}

static struct ps_value *set_value(size_t n, const char *sha256, const char *file)
{
	_cleanup_(ps_value_free) struct ps_value *v = ps_value_map();

	if (!v || ps_value_set(v, "rules", ps_value_uint(n)) < 0 ||
		(sha256 && ps_value_set(v, "sha256", ps_value_string(sha256)) < 0) ||
		(file && ps_value_set(v, "file", ps_value_string(file)) < 0))
		return NULL;
	return PS_TAKE(v);
}

int ps_audit_text(const struct ps_audit_line *c, const char *sha256, const char *file, struct ps_buf *out)
{
	_cleanup_(ps_value_free) struct ps_value *line = ps_value_map();
	char time[PS_RFC3339_SIZE];

	if (!line || ps_value_set(line, "time", ps_value_string(ps_rfc3339(c->time, time))) < 0 ||
		ps_value_set(line, "who", ps_value_string(c->who)) < 0 ||
		ps_value_set(line, "op", ps_value_string(c->op)) < 0 ||
		ps_value_set(line, "seq", c->seq ? ps_value_uint(c->seq) : ps_value_null()) < 0 ||
		ps_value_set(line, "before",
			c->bulk ? set_value(c->n_before, NULL, NULL) : rule_or_null(c->before, c->time)) < 0 ||
		ps_value_set(line, "after",
			c->bulk ? set_value(c->n_after, sha256, file) : rule_or_null(c->after, c->time)) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < ps_value_count(c->more); i++) {
		if (ps_value_set(line, ps_value_key_at(c->more, i), ps_value_copy(ps_value_at(c->more, i))) < 0)
			return -ENOMEM;
	}
	ps_json_write(out, line);
	ps_buf_addc(out, '\n');
	return out->error;
}

int ps_audit_append(int dir, const struct ps_buf *line, off_t *ret_before)
{
	_cleanup_close_ int fd = openat(dir, AUDIT, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	r = ps_file_write_fd(fd, line);
	if (r < 0) {
		(void)!ftruncate(fd, st.st_size);
		return r;
	}
	*ret_before = st.st_size;
	return 0;
}

void ps_audit_take_back(int dir, off_t before)
{
	_cleanup_close_ int fd = openat(dir, AUDIT, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd >= 0)
		(void)!ftruncate(fd, before);
}
