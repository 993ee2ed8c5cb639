/*
 * Where an LLM is: from what a person writes ("https://api.openai.com", "http://localhost:11434/v1", an Azure
 * deployment) to the URL that takes chat completions. Pure.
 */
#ifndef PS_AI_ENDPOINT_H
#define PS_AI_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"

#define PS_ENDPOINT_TEXT 1024 /* bytes of what is written, and of the URL, with the NUL */
#define PS_ENDPOINT_HOST 256

struct ps_llm_endpoint {
	bool tls;
	bool azure;                  /* the key goes into api-key, and the deployment names the model */
	bool own;                    /* loopback, a private address, or a name without dots: needs no key */
	char host[PS_ENDPOINT_HOST]; /* lower case; IPv6 without brackets */
	uint16_t port;
	char origin[PS_ENDPOINT_HOST + 32]; /* "https://api.openai.com:443": what a key belongs to */
	char url[PS_ENDPOINT_TEXT + 32];
};

/*
 * http and https only; no user, password or fragment. A path that does not name the call is taken as the base of the
 * API: "" → /v1/chat/completions, "/v1" → /v1/chat/completions; an Azure deployment needs api-version. -EINVAL fills
 * err (field openai_endpoint).
 */
int ps_endpoint_parse(const char *text, struct ps_llm_endpoint *ret_ep, struct ps_error *err);

/*
 * `allow` is the configured list, "HOST[:PORT][,…]"; "" = no list. Is the endpoint on it? Then it may also have a
 * link-local address.
 */
bool ps_endpoint_listed(const struct ps_llm_endpoint *ep, const char *allow);

/* May it be used? Not if there is a list and it is not on it, nor if its host is written as an address that
 * ps_reach_refusal names, or is a name of a metadata service. -EPERM fills err (403). */
int ps_endpoint_permitted(const struct ps_llm_endpoint *ep, const char *allow, struct ps_error *err);

#endif
