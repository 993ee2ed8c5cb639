#include "gateway/route.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/limits.h"
#include "gateway/handlers.h"
#include "gateway/http.h"
#include "gateway/limits.h"
#include "gateway/param.h"

#define PS_PART_NONE PS_PARTS
#define ps_params_none NULL

const struct ps_route ps_routes[] = {
#define PS_ROUTE(method, pattern, name, part, op, scope, body_max, timeout_ms, age_ms, params, body, answers, doc) \
	{PS_HTTP_##method, pattern, ps_handle_##name, PS_PART_##part, op, PS_SCOPE_##scope, body_max, timeout_ms, \
		age_ms, ps_params_##params, body, answers, doc},
#include "gateway/route.def"
};
const size_t ps_n_routes = PS_ARRAY_SIZE(ps_routes);

/* Does the path fit the pattern? *ret_at, *ret_len: what stands for {name}, still escaped. */
static bool fits(const char *pattern, const char *path, size_t path_len, const char **ret_at, size_t *ret_len)
{
	const char *p = path, *end = path + path_len;

	*ret_at = NULL;
	for (const char *q = pattern; *q;) {
		if (*q == '{') {
			const char *slash = memchr(p, '/', (size_t)(end - p));

			*ret_at = p;
			*ret_len = (size_t)((slash ? slash : end) - p);
			if (!*ret_len)
				return false;
			p += *ret_len;
			q = strchr(q, '}') + 1;
		} else if (p < end && *p == *q) {
			p++;
			q++;
		} else {
			return false;
		}
	}
	return p == end;
}

int ps_route_find(
	unsigned method, const char *path, const struct ps_route **ret_route, char **ret_param, unsigned *ret_allow)
{
	const struct ps_route *found = NULL;
	_cleanup_free_ char *param = NULL;
	const char *at = NULL, *found_at = NULL;
	size_t len = strlen(path), at_len = 0, found_len = 0;
	unsigned allow = 0;
	bool exact = false;

	if (len > 1 && path[len - 1] == '/' && path[len - 2] != '/')
		len--;
	for (size_t i = 0; i < ps_n_routes; i++) {
		const struct ps_route *r = &ps_routes[i];

		if (!fits(r->pattern, path, len, &at, &at_len))
			continue;
		/* "/api/filters/export" is no number: a path of its own hides the row with braces, in every method. */
		if (exact && at)
			continue;
		if (!at && !exact) {
			exact = true;
			found = NULL;
			allow = 0;
		}
		allow |= r->method | PS_HTTP_OPTIONS;
		if (r->method == PS_HTTP_GET)
			allow |= PS_HTTP_HEAD;
		if (r->method == method || (r->method == PS_HTTP_GET && method == PS_HTTP_HEAD)) {
			found = r;
			found_at = at;
			found_len = at_len;
		}
	}
	if (!allow)
		return -ENOENT;
	*ret_allow = allow;
	if (!found)
		return -EPERM;
	if (found_at) {
		param = strndup(found_at, found_len);
		if (!param)
			return -ENOMEM;
		if (ps_percent_decode(param, false) < 0)
			return -ENOENT;
	}
	*ret_route = found;
	*ret_param = PS_TAKE(param);
	return 0;
}
