// Does every part work, and was anything lost on the way from the kernel to here?

import { gaps, health, link, stats, streamEvents, tick } from "../store.js";
import { Badge, Share } from "../ui/bits.jsx";
import { hops, lostOf } from "../ledger.js";
import * as f from "../format.js";

const STAGES = [["produced", "Produced", "Events that the kernel part had to tell"], ["ring_lost", "Lost in the ring", "The ring buffer was full"],
	["received", "Received", "Read by the collector"], ["published", "Published", "Sent on the bus"], ["refused", "Refused", "The bus did not take them"],
	["applied", "Applied", "Folded into the tables"], ["missed", "Missed", "Lost between collector and aggregator"]];

function Parts() {
	const parts = Object.entries(health.value?.parts ?? {});
	return (
		<section class="panel" aria-labelledby="parts-title">
			<header><h2 id="parts-title">Parts</h2>{health.value && <Badge kind={health.value.status === "ok" ? "established" : health.value.status === "down" ? "drop" : "warn"}>{health.value.status}</Badge>}</header>
			<ul class="parts-list">{parts.map(([name, part]) => (
				<li key={name} data-state={part.ok ? "ok" : "down"}>
					<span class="dot" aria-hidden="true" /><b>{name}</b> <span class="soft">{part.ok ? "works" : "does not work"}{part.version ? ` · version ${part.version}` : ""}{part.pid ? ` · process ${part.pid}` : ""}{part.uptime ? ` · up ${f.span(part.uptime)}` : ""}</span>
					{part.reason && <p>{part.reason}</p>}
					{(part.warnings ?? []).map((text) => <p key={text} class="warning">{text}</p>)}
				</li>))}</ul>
			{!parts.length && <p class="empty">Waiting for the first answer …</p>}
		</section>
	);
}

function Kernel({ s }) {
	const { table } = s;
	return (
		<section class="panel" aria-labelledby="kernel-title">
			<header><h2 id="kernel-title">Kernel part</h2><span class="soft">up {f.span(s.uptime)}, counting since {f.clock(s.since)}</span></header>
			<div class="meter"><span>Connection table</span><Share part={table.used} of={table.slots} label={`${f.percent(table.fill)} full`} /><span class="soft">{f.count(table.used)} of {f.count(table.slots)} slots</span></div>
			<dl class="figures">
				<div><dt>confirmed</dt><dd>{f.count(table.confirmed)}</dd></div><div><dt>half open</dt><dd>{f.count(table.half_open)}</dd></div>
				<div><dt>ended, remembered</dt><dd>{f.count(table.ended)}</dd></div><div><dt>ICMP entries</dt><dd>{f.count(table.icmp)}</dd></div>
				<div><dt>given up</dt><dd data-some={s.counters.conns_recycled > 0 || undefined}>{f.count(s.counters.conns_recycled)}</dd></div>
				<div><dt>untracked packets</dt><dd data-some={s.counters.untracked > 0 || undefined}>{f.count(s.counters.untracked)}</dd></div>
			</dl>
			<table class="plain"><thead><tr><th scope="col">Interface</th><th scope="col">Ingress</th><th scope="col">Egress</th><th scope="col">Attached</th></tr></thead>
				<tbody>{(s.interfaces ?? []).map((i) => <tr key={i.name}><th scope="row" class="mono">{i.name}</th><td>XDP, {i.mode}</td><td>{i.egress ?? "not watched"}</td><td>{i.attached ? "yes" : <Badge kind="drop">no</Badge>}</td></tr>)}</tbody></table>
		</section>
	);
}

function Ledger({ s }) {
	const rows = hops(s);
	const stages = STAGES.filter(([name]) => rows.some(([, row]) => row[name] !== undefined));
	return (
		<section class="panel flush" aria-labelledby="ledger-title">
			<header><h2 id="ledger-title">Loss, hop by hop</h2><p class="hint">Packets are never lost here, and counters are exact: what may get lost is the news of them.</p></header>
			<div class="sideways" tabindex={0} role="region" aria-label="Table of losses">
				<table class="plain" id="ledger"><thead><tr><th scope="col">Event</th>{stages.map(([name, label, title]) => <th key={name} scope="col" class="number" title={title}>{label}</th>)}<th scope="col">In all</th></tr></thead>
					<tbody>{rows.map(([topic, row]) => (
						<tr key={topic}><th scope="row" class="mono">{topic}</th>{stages.map(([name]) => <td key={name} class="number" data-some={["ring_lost", "refused", "missed"].includes(name) && row[name] > 0 ? "" : undefined}>{row[name] === undefined ? "–" : f.count(row[name])}</td>)}
							<td>{lostOf(row) ? <Badge kind="warn">{f.percent(lostOf(row) / Math.max(1, row.produced ?? 0), 3)} lost</Badge> : <Badge kind="established">complete</Badge>}</td></tr>))}</tbody></table>
			</div>
			<dl class="figures pad">{[["resyncs", "resynchronised"], ["expired", "connections expired"], ["broken_events", "broken events"], ["broken_messages", "broken messages"], ["late_requests", "late requests"]].filter(([name]) => s.ledger?.[name] !== undefined)
				.map(([name, label]) => <div key={name}><dt>{label}</dt><dd>{f.count(s.ledger[name])}</dd></div>)}</dl>
		</section>
	);
}

const LINKS = { live: "live: events come as they happen", polling: "no stream: asked for each second", down: "the gateway does not answer", connecting: "connecting" };

export function Health() {
	tick.value;
	const s = stats.value;
	return (
		<div class="view" id="view-health">
			<div class="pair"><Parts />{s && <Kernel s={s} />}</div>
			{s && <Ledger s={s} />}
			<section class="panel" aria-labelledby="page-title"><header><h2 id="page-title">This page</h2></header>
				<dl class="figures"><div><dt>connection</dt><dd>{LINKS[link.value.state]}</dd></div><div><dt>events received</dt><dd>{f.count(streamEvents.value)}</dd></div><div><dt>events missed</dt><dd data-some={gaps.value > 0 || undefined}>{f.count(gaps.value)}</dd></div></dl>
			</section>
		</div>
	);
}
