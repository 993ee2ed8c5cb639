/*
 * Requests that ask the same at the same time share one answer: while one waits for another part, the same ones that
 * come meanwhile wait for each other, and when it is answered they are asked as one. So none gets an answer older than
 * its question, and a hundred pages that look at the same list cost the other parts as much as two.
 *
 * Where the route allows its answers an age (route.def), one that a crowd waits for is kept that long, for all of them
 * and for those who ask the same meanwhile: they need not wait at all. It is kept no longer than until a request that
 * may have changed something is answered, so whoever changes something sees it. `Cache-Control: no-cache` asks for
 * itself alone.
 *
 * The same are GETs of one route with the same parameters, and the same headers that an answer depends on. What is
 * streamed is not shared: each of those that waited gets a stream of its own.
 */
#ifndef PS_SHARE_H
#define PS_SHARE_H

struct ps_exchange;
struct ps_gateway;

/* Answers, or calls the handler of the exchange's route: now, or when the same question has been answered. `now` is
 * boot time, ns. */
void ps_share_run(struct ps_exchange *x);

/* To be called when the exchange has been answered, before it is told so: gives the answer to those who wait for it,
 * and lets those begin that came too late for it. */
void ps_share_answered(struct ps_exchange *asker);

/* The exchange is about to go, answered or not. */
void ps_share_leave(struct ps_exchange *x);

/* Forgets the answers that are kept; nobody may be asking any more. */
void ps_shares_free(struct ps_gateway *g);

#endif
