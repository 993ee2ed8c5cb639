// The books of what was produced and what was lost on the way, as /api/stats has them.

export const hops = (s) => Object.entries(s?.ledger ?? {}).filter(([, row]) => typeof row === "object" && row !== null);

export const lostOf = (row) => (row.ring_lost ?? 0) + (row.refused ?? 0) + (row.missed ?? 0);

export const lostEvents = (s) => hops(s).reduce((n, [, row]) => n + lostOf(row), 0);

export const madeEvents = (s) => hops(s).reduce((n, [, row]) => n + (row.produced ?? 0), 0);
