// The first look: figures, their last minutes, who talks most and to whom, and what stands out.

import { useState } from "preact/hooks";
import { get, isAbsent } from "../api.js";
import { findings, stats } from "../store.js";
import { href } from "../route.js";
import { Plot } from "../ui/plot.jsx";
import { Sankey } from "../ui/sankey.jsx";
import { Absent, Age, Badge, FilterLink, Service, Share } from "../ui/bits.jsx";
import { usePoll } from "../ui/hooks.js";
import { lostEvents, madeEvents } from "../ledger.js";
import { kindName } from "../words.js";
import * as f from "../format.js";

const WINDOWS = [["60", "the last minute"], ["600", "the last ten minutes"], ["0", "all that is known"]];
const WEIGHTS = {
	bytes: { label: "Bytes", weigh: (r) => r.bytes_out + r.bytes_in, show: f.bytes },
	packets: { label: "Packets", weigh: (r) => r.packets_out + r.packets_in, show: (n) => f.plural(n, "packet") },
	connections: { label: "Connections", weigh: (r) => r.connections, show: (n) => f.plural(n, "connection") },
};

function Tile({ id, label, value, unit, note, state }) {
	return (
		<div class="tile" id={`tile-${id}`} data-state={state || undefined} role="listitem">
			<span class="label">{label}</span>
			<span class="figure"><span class="value">{value}</span>{unit && <span class="unit">{unit}</span>}</span>
			<span class="note">{note}</span>
		</div>
	);
}

function Tiles() {
	const s = stats.value;
	if (!s)
		return <div class="tiles" role="list" aria-label="Figures now"><Tile id="packets" label="Packets" value="–" note="Waiting for the first answer …" /></div>;
	const [traffic, unit] = f.bitsParts(s.rates.bytes * 8);
	const lost = lostEvents(s);
	return (
		<div class="tiles" role="list" aria-label="Figures now">
			<Tile id="bits" label="Traffic" value={traffic} unit={unit} note={`${f.bytes(s.TotalBytes)} in all`} />
			<Tile id="packets" label="Packets" value={f.rate(s.rates.packets)} unit="/s"
				note={`${f.count(s.TotalPackets)} in all${s.MalformedPackets ? ` · ${f.count(s.MalformedPackets)} malformed` : ""}`} />
			<Tile id="connections" label="Connections" value={f.count(s.table.known)} state={s.table.fill > 0.8 && "warn"}
				note={`${f.rate(s.rates.conns_new)} new/s · ${f.percent(s.table.fill, s.table.fill < 0.1 ? 1 : 0)} full`} />
			<Tile id="dropped" label="Dropped by rules" value={f.rate(s.rates.dropped_packets)} unit="/s" state={s.rates.dropped_packets > 0 && "drop"}
				note={`${f.count(s.DroppedPackets)} in all`} />
			<Tile id="retrans" label="TCP retransmitted" value={f.rate(s.rates.tcp_retrans)} unit="/s" note={`${f.count(s.TCPRetrans)} in all`} />
			<Tile id="lost" label="Events lost" value={f.count(lost)} state={lost > 0 && "warn"} note={`of ${f.count(madeEvents(s))}`} />
		</div>
	);
}

const TRAFFIC = [{ series: "bits", label: "both directions", colour: "--accent", area: true }];
const PACKETS = [{ series: "in", label: "in", colour: "--tcp" }, { series: "out", label: "out", colour: "--udp" }, { series: "dropped", label: "dropped", colour: "--bad", area: true }];
const CONNS = [{ series: "conns", label: "new", colour: "--ok", area: true }, { series: "retrans", label: "retransmissions", colour: "--warn" }];
const perSecond = (n) => `${f.rate(n)}/s`;

function Talkers({ hosts, weight }) {
	const { weigh, show } = weight;
	const most = Math.max(...hosts.map(weigh), 1);
	return (
		<section class="panel" aria-labelledby="talkers-title" id="talkers">
			<header><h2 id="talkers-title">Top talkers</h2></header>
			<table class="plain talkers"><thead><tr><th scope="col">Host</th><th scope="col" class="number">Connections</th><th scope="col" class="number">Sent</th><th scope="col" class="number">Received</th><th scope="col" class="number total">Total</th></tr></thead>
				<tbody>{hosts.slice(0, 8).map((row) => (
					<tr key={row.ip}>
						<th scope="row"><FilterLink q={row.ip}>{row.ip}</FilterLink><Share part={weigh(row)} of={most} label={`${f.percent(weigh(row) / most, 0)} of the largest`} /></th>
						<td class="number">{f.count(row.connections)}</td><td class="number">{f.bytes(row.bytes_out)}</td><td class="number">{f.bytes(row.bytes_in)}</td>
						<td class="number total">{show(weigh(row)).replace(/ (packet|connection)s?$/, "")}</td>
					</tr>))}</tbody>
			</table>
		</section>
	);
}

function Services({ services, weight }) {
	const { weigh, show } = weight;
	const most = Math.max(...services.map(weigh), 1);
	return (
		<section class="panel" aria-labelledby="services-title" id="services">
			<header><h2 id="services-title">Services</h2></header>
			<table class="plain"><thead><tr><th scope="col">Service</th><th scope="col" class="number">Connections</th><th scope="col" class="number">Dropped</th><th scope="col" class="number total">Total</th></tr></thead>
				<tbody>{services.slice(0, 8).map((row) => (
					<tr key={`${row.proto}${row.dst_port}`}>
						<th scope="row"><FilterLink q={`${row.proto} :${row.dst_port}`}><Service proto={row.proto} port={row.dst_port} /></FilterLink><Share part={weigh(row)} of={most} label={`${f.percent(weigh(row) / most, 0)} of the largest`} /></th>
						<td class="number">{f.count(row.connections)}</td><td class="number" data-some={row.dropped_packets > 0 || undefined}>{f.count(row.dropped_packets)}</td>
						<td class="number total">{show(weigh(row)).replace(/ (packet|connection)s?$/, "")}</td>
					</tr>))}</tbody>
			</table>
		</section>
	);
}

function FlowTable({ flows, weight }) {
	return (
		<details class="flows"><summary>The same as a table</summary>
			<table class="plain"><thead><tr><th scope="col">From</th><th scope="col">Service</th><th scope="col">To</th><th scope="col" class="number">Connections</th><th scope="col" class="number">Total</th></tr></thead>
				<tbody>{flows.slice(0, 24).map((row) => (
					<tr key={`${row.src_ip}${row.proto}${row.dst_port}${row.dst_ip}`}><td class="mono">{row.src_ip}</td><td><Service proto={row.proto} port={row.dst_port} /></td><td class="mono">{row.dst_ip}</td>
						<td class="number">{f.count(row.connections)}</td><td class="number">{weight.show(weight.weigh(row))}</td></tr>))}</tbody>
			</table>
		</details>
	);
}

function Standing() {
	const list = (findings.value ?? []).filter((x) => x.open !== false).slice(0, 4);
	if (!list.length)
		return null;
	return (
		<section class="panel standing" aria-labelledby="standing-title">
			<header><h2 id="standing-title">What stands out</h2><a href={href("findings")}>All findings</a></header>
			<ul>{list.map((x) => <li key={x.id}><Badge kind={x.severity}>{x.severity}</Badge> <a href={href("findings", { id: x.id })}>{kindName(x.kind)}</a> <span>{x.title}</span> <span class="soft"><Age time={x.last} /></span></li>)}</ul>
		</section>
	);
}

export function Overview() {
	const [by, setBy] = useState("bytes");
	const [active, setActive] = useState("60");
	const [top, setTop] = useState(null);
	usePoll(async (gone) => {
		try {
			const { body } = await get(`/api/top?limit=40&by=${by}&active=${active}&ended=true`);
			if (!gone())
				setTop(body);
		} catch (error) {
			if (!isAbsent(error))
				throw error;
			setTop(false);
		}
	}, 2, [by, active]);
	const weight = WEIGHTS[by];
	return (
		<div class="view" id="view-overview">
			<Tiles />
			<Standing />
			<div class="plots">
				<Plot id="plot-traffic" title="Throughput" lines={TRAFFIC} format={(n) => f.short(n)} unit={f.bits} />
				<Plot id="plot-packets" title="Packets per second" lines={PACKETS} format={f.short} unit={perSecond} />
				<Plot id="plot-conns" title="New connections" lines={CONNS} format={f.short} unit={perSecond} />
			</div>
			<section class="panel" aria-labelledby="flows-title" id="flows">
				<header><h2 id="flows-title">Who talks to whom</h2>
					<label>Weigh by <select id="top-by" value={by} onchange={(event) => setBy(event.target.value)}>{Object.entries(WEIGHTS).map(([value, { label }]) => <option key={value} value={value}>{label}</option>)}</select></label>
					<label>over <select id="top-window" value={active} onchange={(event) => setActive(event.target.value)}>{WINDOWS.map(([value, label]) => <option key={value} value={value}>{label}</option>)}</select></label>
				</header>
				{top === false ? <Absent what="sums by host and service" /> : top && top.flows.length ? (
					<>
						<div class="columns" aria-hidden="true"><span>Originator</span><span>Service</span><span>Responder</span></div>
						<Sankey flows={top.flows} weigh={weight.weigh} show={weight.show} />
						<p class="hint">{f.plural(top.connections, "connection")} between {f.plural(top.hosts_total, "host")}, {f.plural(top.services_total, "service")}; the largest flows are drawn. A click on a name shows its connections.</p>
						<FlowTable flows={top.flows} weight={weight} />
					</>) : <p class="empty">{top ? "Nothing was active in this time." : "Waiting for the first answer …"}</p>}
			</section>
			{top && <div class="pair"><Talkers hosts={top.hosts} weight={weight} /><Services services={top.services} weight={weight} /></div>}
		</div>
	);
}
