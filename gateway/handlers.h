/*
 * What stands behind the routes: one function a row of route.def, each in the file of its noun. A handler ends in
 * exactly one ps_answer_ function of exchange.h, at once or from the reply of another part.
 */
#ifndef PS_HANDLERS_H
#define PS_HANDLERS_H

struct ps_exchange;

/* page.c */
void ps_handle_page(struct ps_exchange *x);
/* openapi.c */
void ps_handle_openapi(struct ps_exchange *x);
/* metrics.c */
void ps_handle_metrics(struct ps_exchange *x);
/* health.c */
void ps_handle_health(struct ps_exchange *x);
/* listing.c */
void ps_handle_connections(struct ps_exchange *x);
void ps_handle_icmp(struct ps_exchange *x);
void ps_handle_connection(struct ps_exchange *x);
/* events.c */
void ps_handle_events(struct ps_exchange *x);
/* relay.c */
void ps_handle_relay(struct ps_exchange *x);
/* rule_list.c */
void ps_handle_filters_list(struct ps_exchange *x);
void ps_handle_filters_export(struct ps_exchange *x);
/* filters.c */
void ps_handle_filters_create(struct ps_exchange *x);
void ps_handle_filters_update(struct ps_exchange *x);
void ps_handle_filters_one(struct ps_exchange *x);
void ps_handle_filters_change(struct ps_exchange *x); /* delete, enable, disable, promote, confirm */
void ps_handle_filters_replace(struct ps_exchange *x);
void ps_handle_filters_preview(struct ps_exchange *x);
void ps_handle_filters_import(struct ps_exchange *x);
void ps_handle_protected_get(struct ps_exchange *x);
void ps_handle_protected_set(struct ps_exchange *x);
/* ai.c */
void ps_handle_ai_job(struct ps_exchange *x);
void ps_handle_job(struct ps_exchange *x);
void ps_handle_findings(struct ps_exchange *x);

#endif
