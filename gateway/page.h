/*
 * The web page and its assets, built into the program (web/page.cmake).
 */
#ifndef PS_PAGE_H
#define PS_PAGE_H

#include <stddef.h>
#include <stdint.h>

struct ps_asset {
	const char *name; /* "index.html", "app.js" */
	const unsigned char *data;
	const unsigned char *end;
};

/* Made by the build from the files of the page. */
extern const struct ps_asset ps_assets[];
extern const size_t ps_n_assets;

/* NULL: there is none of that name. */
const struct ps_asset *ps_asset_find(const char *name);
/* By the end of the name; "application/octet-stream" when unknown. */
const char *ps_asset_type(const char *name);
/* A quoted entity tag (RFC 9110, 8.8.3) that changes with the content. Returns buf. */
#define PS_ASSET_ETAG 24
char *ps_asset_etag(const struct ps_asset *a, char buf[static PS_ASSET_ETAG]);

#endif
