#include "gateway/page.h"

#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "gateway/exchange.h"
#include "gateway/handlers.h"

/* Everything from here and nothing inline: text from packets that got into the page as code would not run. */
#define CSP \
	"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri " \
	"'none'; " \
	"form-action 'none'; frame-ancestors 'none'"

const struct ps_asset *ps_asset_find(const char *name)
{
	for (size_t i = 0; i < ps_n_assets; i++) {
		if (!strcmp(ps_assets[i].name, name))
			return &ps_assets[i];
	}
	return NULL;
}

const char *ps_asset_type(const char *name)
{
	static const struct {
		const char *end;
		const char *type;
	} types[] = {
		{".html", "text/html; charset=utf-8"},
		{".css", "text/css; charset=utf-8"},
		{".js", "text/javascript; charset=utf-8"},
		{".svg", "image/svg+xml"},
		{".png", "image/png"},
		{".woff2", "font/woff2"},
		{".json", "application/json"},
		{".txt", "text/plain; charset=utf-8"},
	};
	const char *dot = strrchr(name, '.');

	for (size_t i = 0; dot && i < PS_ARRAY_SIZE(types); i++) {
		if (!strcmp(dot, types[i].end))
			return types[i].type;
	}
	return "application/octet-stream";
}

char *ps_asset_etag(const struct ps_asset *a, char buf[static PS_ASSET_ETAG])
{
	uint64_t h = 14695981039346656037ull; /* FNV-1a: content of our own, nobody to fool */

	for (const unsigned char *p = a->data; p < a->end; p++)
		h = (h ^ *p) * 1099511628211ull;
	snprintf(buf, PS_ASSET_ETAG, "\"%016llx\"", (unsigned long long)h);
	return buf;
}

void ps_handle_page(struct ps_exchange *x)
{
	const struct ps_asset *a = ps_asset_find(x->req.param ? x->req.param : "index.html");
	char etag[PS_ASSET_ETAG];

	if (!a) {
		struct ps_error err = {0};

		(void)ps_error_set(&err, 0, 404, "no_such_path", "", "The page has no such asset.");
		ps_answer_problem(x, &err);
		return;
	}
	ps_http_response_header(
		&x->resp, "Cache-Control", "no-cache"); /* kept, but asked for each time: an update shows at once */
	ps_http_response_header(&x->resp, "ETag", "%s", ps_asset_etag(a, etag));
	ps_http_response_header(&x->resp, "Content-Security-Policy", "%s", CSP);
	ps_http_response_header(&x->resp, "Referrer-Policy", "no-referrer");
	if (x->req.headers.if_none_match && strstr(x->req.headers.if_none_match, etag))
		ps_answer_empty(x, 304);
	else
		ps_answer_fixed(x, ps_asset_type(a->name), a->data, (size_t)(a->end - a->data));
}
