/*
 * The API document, OpenAPI 3.1: made from the tables that the gateway works by (route.def, param.c, schema.def,
 * rule.def) and answer.def, which names the members of everything else. Pure.
 *
 * The language of schemas, in route.def and answer.def: a word `string` `integer` `number` `boolean` `time` `id` `any`
 * `object`, or `enum:a,b`; a name in capitals is a schema of the document; [X] is an array of X; X? may be null;
 * "X or Y" is either. A word with a slash in it is a media type whose body is text.
 */
#ifndef PS_OPENAPI_H
#define PS_OPENAPI_H

#include "common/model/value.h"

/* The whole document, the caller's; NULL on no memory. */
struct ps_value *ps_openapi(void);

#endif
