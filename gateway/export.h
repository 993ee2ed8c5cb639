/*
 * Connections as a file: all that match, each once, as a JSON array, a JSON object a line, or CSV (RFC 4180) with the
 * names of the fields in the first line. It is put together while it is sent (pager.h).
 */
#ifndef PS_EXPORT_H
#define PS_EXPORT_H

#include <stdbool.h>

#include "gateway/exchange.h"

/* Does the request ask for a file: ?format=, or an Accept header that names no JSON but one of ours? */
bool ps_export_wanted(const struct ps_exchange *x);
void ps_export(struct ps_exchange *x);

/* One record as a line of CSV; text that begins like a formula (=, +, -, @) gets a ' in front, so that no spreadsheet
 * runs what came over the wire. */
void ps_export_csv(struct ps_buf *out, const struct ps_schema *schema, const void *record);

#endif
