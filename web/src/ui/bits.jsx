// Small pieces that several views show.

import * as f from "../format.js";
import { portName } from "../words.js";
import { tick } from "../store.js";
import { href } from "../route.js";

export const Badge = ({ kind, children, title }) => <span class="badge" data-kind={kind} title={title}>{children}</span>;

/** How long ago; moves with the second. */
export function Age({ time, never = "never" }) {
	tick.value;
	return time ? <span title={f.clock(time)}>{f.age(time)}</span> : <span>{never}</span>;
}

export const Host = ({ ip, port }) => <span class="host"><span class="ip">{f.address(ip)}</span>{port !== undefined && <span class="port">:{port}</span>}</span>;

export function Service({ proto, port }) {
	const name = portName(port);
	return <span class="service"><span class="proto" data-proto={proto}>{proto.toUpperCase()}</span> {port}{name && <span class="portname"> {name}</span>}</span>;
}

export const ConnectionLink = ({ id, children }) => <a href={href("connections", { id })} class="mono">{children ?? id}</a>;

/** Filters connections by one address or port when it is clicked. */
export const FilterLink = ({ q, children, title }) => <a href={href("connections", { q })} title={title ?? `Connections with ${q}`}>{children}</a>;

/** A share of the whole as a bar behind nothing but itself. */
export const Share = ({ part, of, label }) => <span class="share" role="img" aria-label={label ?? f.percent(of ? part / of : 0)}><span style={{ width: `${of ? Math.max(1, (100 * part) / of) : 0}%` }} /></span>;

export function Absent({ what }) {
	return <p class="empty">This gateway does not offer {what}. It is older than this page; look again after an update.</p>;
}

export const Empty = ({ children }) => <p class="empty">{children}</p>;

/** What a rule would hit or has hit: figures, warnings, guards, connections. */
export function Impact({ impact, warnings = impact?.warnings ?? [] }) {
	if (!impact)
		return null;
	const guard = impact.guard ?? [];
	return (
		<div class="impact">
			<dl class="figures">
				<div><dt>live connections</dt><dd class="impact-live">{f.count(impact.live ?? 0)}</dd></div>
				<div><dt>ended lately</dt><dd>{f.count(impact.ended ?? 0)}</dd></div>
				<div><dt>newly dropped</dt><dd data-some={impact.newly_dropped > 0 || undefined}>{f.count(impact.newly_dropped ?? 0)}</dd></div>
				<div><dt>ICMP entries</dt><dd>{f.count(impact.icmp ?? 0)}</dd></div>
				<div><dt>packets so far</dt><dd>{f.count(impact.packets ?? 0)}</dd></div>
				<div><dt>bytes so far</dt><dd>{f.bytes(impact.bytes ?? 0)}</dd></div>
			</dl>
			{guard.map((g) => <p key={`${g.kind}${g.subject}`} class="guard" data-kind={g.kind}>{g.message ?? `${g.kind}: ${g.subject}`}</p>)}
			{warnings.map((text) => <p key={text} class="warning">{text}</p>)}
		</div>
	);
}
