// What the detectors found, with the numbers and the connections behind it.

import { useState } from "preact/hooks";
import { absent, findings } from "../store.js";
import { go, note, route } from "../route.js";
import { Absent, Age, Badge, ConnectionLink, FilterLink } from "../ui/bits.jsx";
import { kindName } from "../words.js";
import { settable, summary } from "../rule.js";
import * as f from "../format.js";

const SEVERITIES = ["critical", "high", "medium", "low"];

const figure = (n) => (typeof n === "number" ? (Number.isInteger(n) ? f.count(n) : n.toFixed(2)) : String(n));

function Finding({ x, open, ontoggle }) {
	return (
		<li class="finding" data-severity={x.severity} data-closed={x.open === false || undefined} id={`finding-${x.id}`}>
			<div class="finding-head">
				<Badge kind={x.severity}>{x.severity}</Badge>
				<div class="grow"><h3>{kindName(x.kind)}{x.open === false && <span class="soft"> (over)</span>}</h3><p>{x.title}</p></div>
				<p class="soft when"><Age time={x.last} /><br />{f.percent(x.confidence ?? 0, 0)} sure</p>
				<button type="button" class="quiet small" aria-expanded={open} onclick={ontoggle}>{open ? "Less" : "More"}</button>
			</div>
			{open && (
				<div class="finding-body">
					<dl class="figures">
						{Object.entries(x.numbers ?? {}).map(([name, value]) => <div key={name}><dt>{name.replaceAll("_", " ")}</dt><dd>{figure(value)}</dd></div>)}
						<div><dt>events</dt><dd>{f.count(x.count ?? 0)}</dd></div>
					</dl>
					<dl class="facts">
						<div><dt>Source</dt><dd>{x.source ? <FilterLink q={x.source}>{x.source}</FilterLink> : "–"}</dd></div>
						<div><dt>Target</dt><dd class="mono">{x.target || "–"}</dd></div>
						<div><dt>From</dt><dd>{f.clock(x.first)}</dd></div>
						<div><dt>To</dt><dd>{f.clock(x.last)}</dd></div>
					</dl>
					{x.connections?.length > 0 && <><h4>Connections</h4><ul class="chips">{x.connections.slice(0, 12).map((id) => <li key={id}><ConnectionLink id={id} /></li>)}</ul></>}
					{x.rule && <p class="proposal"><span>Proposed rule: <span class="mono">{x.rule.action} {summary(x.rule)}</span></span>
						<button type="button" onclick={() => go("rules", { new: JSON.stringify({ ...settable(x.rule), enabled: true }) })}>Look at it…</button></p>}
				</div>)}
		</li>
	);
}

export function Findings() {
	const { args } = route.value;
	const [severity, setSeverity] = useState("");
	const list = findings.value;
	const known = new Set((list ?? []).map((x) => x.id));
	if (absent.value.findings)
		return <div class="view" id="view-findings"><Absent what="findings" /></div>;
	const rows = (list ?? []).filter((x) => !severity || x.severity === severity)
		.sort((a, b) => (b.open !== false) - (a.open !== false) || SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity) || Date.parse(b.last) - Date.parse(a.last));
	return (
		<div class="view" id="view-findings">
			<div class="bar">
				<p class="grow hint">Port scans, floods, brute force, sweeps, tunnels, amplification and beaconing, found on this host without any model.</p>
				<label>Severity <select id="finding-severity" value={severity} onchange={(event) => setSeverity(event.target.value)}><option value="">all</option>{SEVERITIES.map((word) => <option key={word}>{word}</option>)}</select></label>
			</div>
			{args.id && list && !known.has(args.id) && <p class="gone">Finding {args.id} is no longer kept.</p>}
			<ul class="findings" id="finding-list">{rows.map((x) => <Finding key={x.id} x={x} open={args.id === x.id} ontoggle={() => note({ id: args.id === x.id ? "" : x.id })} />)}</ul>
			{!rows.length && <p class="empty">{!list ? "Waiting for the first answer …" : list.length ? "None of this severity." : "Nothing stands out. Detectors look at every connection; what they find appears here."}</p>}
		</div>
	);
}
