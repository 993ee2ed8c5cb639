// Who talks to whom, and about what: originator → service → responder, as bands whose width is what was carried.

import { sankey, sankeyLinkHorizontal } from "d3-sankey";
import { useMemo, useState } from "preact/hooks";
import { useSize } from "./hooks.js";
import { portName } from "../words.js";
import { go } from "../route.js";

const FLOWS = 24, SMALL = 0.004; // bands that can still be told apart, and what is too thin for one of its own
const NODE = 10, GAP = 10, LABEL = 16;

const serviceOf = (flow) => {
	const name = portName(flow.dst_port);
	return { name: `${flow.proto.toUpperCase()} ${flow.dst_port}${name ? ` ${name}` : ""}`, q: `${flow.proto} :${flow.dst_port}` };
};

/** The large flows as they are; the small ones of one originator and one responder (a scan, say) as one, "9 other services". */
function drawable(flows, weigh) {
	const all = flows.reduce((sum, flow) => sum + weigh(flow), 0);
	const large = [], small = new Map();
	for (const flow of flows) {
		const value = weigh(flow), service = serviceOf(flow);
		if (value <= 0)
			continue;
		if (large.length < FLOWS && (value >= all * SMALL || large.length < 6)) {
			large.push({ ...flow, value, service });
			continue;
		}
		const pair = `${flow.src_ip} ${flow.dst_ip}`;
		const rest = small.get(pair) ?? { src_ip: flow.src_ip, dst_ip: flow.dst_ip, value: 0, n: 0, service };
		rest.value += value;
		rest.n++;
		small.set(pair, rest);
	}
	const rests = [...small.values()].sort((a, b) => b.value - a.value).slice(0, 6);
	return [...large, ...rests.map((rest) => (rest.n === 1 ? rest : { ...rest, service: { name: "other services", q: "" } }))];
}

/* A node of each column for each word. */
function graph(flows, weigh) {
	const nodes = new Map(), links = new Map();
	const node = (column, name, q) => {
		const id = `${column} ${name}`;
		if (!nodes.has(id))
			nodes.set(id, { id, column, name, q });
		return id;
	};
	const link = (source, target, value, service) => {
		const id = `${source}>${target}`;
		const known = links.get(id) ?? { source, target, value: 0, service };
		known.value += value;
		links.set(id, known);
	};
	for (const { src_ip, dst_ip, service, value } of drawable(flows, weigh)) {
		const from = node(0, src_ip, src_ip), at = node(1, service.name, service.q), to = node(2, dst_ip, dst_ip);
		link(from, at, value, service.name);
		link(at, to, value, service.name);
	}
	return { nodes: [...nodes.values()], links: [...links.values()] };
}

const PALETTE = 8;

function layout(flows, weigh, width, height) {
	const data = graph(flows, weigh);
	if (!data.nodes.length || width < 200)
		return null;
	const most = Math.max(...[0, 1, 2].map((column) => data.nodes.filter((n) => n.column === column).length));
	const tall = Math.max(height, most * (LABEL + GAP));
	const result = sankey().nodeId((n) => n.id).nodeWidth(NODE).nodePadding(Math.max(GAP, LABEL)).nodeAlign((n) => n.column)
		.extent([[1, 6], [width - 1, tall - 6]])(data);
	const services = [...new Set(result.links.map((l) => l.service))];
	for (const link of result.links)
		link.colour = `var(--flow-${services.indexOf(link.service) % PALETTE})`;
	for (const n of result.nodes)
		n.colour = n.column === 1 ? `var(--flow-${services.indexOf(n.name) % PALETTE})` : "var(--soft)";
	return { ...result, tall };
}

const path = sankeyLinkHorizontal();

/** flows: rows of GET /api/top; weigh(row); show(n): the weight in words. */
export function Sankey({ flows, weigh, show }) {
	const [box, size] = useSize({ width: 800, height: 320 });
	const [hot, setHot] = useState(null);
	const drawn = useMemo(() => layout(flows, weigh, size.width, 320), [flows, weigh, size.width]);
	return (
		<div class="sankey" ref={box}>
			{drawn && (
				<svg width={size.width} height={drawn.tall} role="img" aria-label="Flows from originators by service to responders; the table of flows has the same figures">
					<g class="links">
						{drawn.links.map((l) => (
							<path key={`${l.source.id}>${l.target.id}`} d={path(l)} fill="none" stroke={l.colour} stroke-width={Math.max(1.5, l.width)}
								class={hot && hot !== l.source.id && hot !== l.target.id ? "cold" : undefined}>
								<title>{`${l.source.name} → ${l.target.name}: ${show(l.value)}`}</title>
							</path>))}
					</g>
					{drawn.nodes.map((n) => {
						const high = Math.max(2, n.y1 - n.y0), left = n.column < 2;
						return (
							<g key={n.id} class="node" onclick={() => n.q && go("connections", { q: n.q })} onpointerenter={() => setHot(n.id)} onpointerleave={() => setHot(null)}>
								<title>{`${n.name}: ${show(n.value)}`}</title>
								<rect x={n.x0} y={n.y0} width={NODE} height={high} rx={2} fill={n.colour} />
								<text x={left ? n.x1 + 6 : n.x0 - 6} y={(n.y0 + n.y1) / 2} dy="0.35em" text-anchor={left ? "start" : "end"}>{n.name}<tspan class="weight"> {show(n.value)}</tspan></text>
							</g>
						);
					})}
				</svg>)}
		</div>
	);
}
