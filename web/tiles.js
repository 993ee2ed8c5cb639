// The figures at the top, each with its last minute.

import { h, setAttr, setText, svg } from "./dom.js";
import * as f from "./format.js";

const SAMPLES = 60;
const WIDTH = 120, HEIGHT = 30;

const hops = (s) => Object.values(s.ledger ?? {}).filter((row) => typeof row === "object" && row !== null);
const lostEvents = (s) => hops(s).reduce((n, row) => n + (row.ring_lost ?? 0) + (row.refused ?? 0) + (row.missed ?? 0), 0);
const madeEvents = (s) => hops(s).reduce((n, row) => n + (row.produced ?? 0), 0);

const TILES = [
	{ id: "packets", label: "Packets", value: (s) => s.rates.packets, show: (n) => [f.rate(n), "/s"],
		note: (s) => `${f.count(s.TotalPackets)} in all${s.MalformedPackets ? ` · ${f.count(s.MalformedPackets)} malformed` : ""}` },
	{ id: "bits", label: "Traffic", value: (s) => s.rates.bytes * 8, show: f.bitsParts, note: (s) => `${f.bytes(s.TotalBytes)} in all` },
	{ id: "connections", label: "Connections", value: (s) => s.table.known, show: (n) => [f.count(n), ""],
		note: (s) => `${f.rate(s.rates.conns_new)} new/s · table ${(s.table.fill * 100).toFixed(s.table.fill < 0.1 ? 1 : 0)} % full`,
		alarm: (s) => s.table.fill > 0.8 },
	{ id: "dropped", label: "Dropped by rules", value: (s) => s.rates.dropped_packets, show: (n) => [f.rate(n), "/s"],
		note: (s) => `${f.count(s.DroppedPackets)} in all`, mark: "drop" },
	{ id: "retrans", label: "TCP retransmitted", value: (s) => s.rates.tcp_retrans, show: (n) => [f.rate(n), "/s"],
		note: (s) => `${f.count(s.TCPRetrans)} in all` },
	{ id: "lost", label: "Events lost", value: lostEvents, show: (n) => [f.count(n), ""], grows: true,
		note: (s) => `of ${f.count(madeEvents(s))}` },
];

export class Tiles {
	constructor(parent) {
		this.tiles = TILES.map((tile) => {
			const value = h("span", { class: "value" }), unit = h("span", { class: "unit" }), note = h("span", { class: "note" });
			const line = svg("path", { class: "line" }), area = svg("path", { class: "area" });
			const chart = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" }, area, line);
			const box = h("div", { class: "tile", id: `tile-${tile.id}`, role: "listitem" },
				h("span", { class: "label" }, tile.label), h("span", { class: "figure" }, value, unit), note, chart);
			parent.append(box);
			return { ...tile, box, valueNode: value, unitNode: unit, noteNode: note, line, area, past: [] };
		});
	}

	update(stats) {
		for (const tile of this.tiles) {
			const n = tile.value(stats) ?? 0;
			const [value, unit] = tile.show(n);
			tile.past.push(n);
			if (tile.past.length > SAMPLES)
				tile.past.shift();
			setText(tile.valueNode, value);
			setText(tile.unitNode, unit);
			setText(tile.noteNode, tile.note(stats));
			const grew = tile.grows && tile.past.length > 1 && n > tile.past[0];
			setAttr(tile.box, "data-state", grew || tile.alarm?.(stats) ? "warn" : tile.mark && n > 0 ? tile.mark : null);
			this.draw(tile);
		}
	}

	draw({ past, line, area }) {
		const top = Math.max(...past, 1e-9);
		const points = past.map((n, i) => {
			const x = WIDTH - (past.length - 1 - i) * (WIDTH / (SAMPLES - 1));
			return `${x.toFixed(1)},${(HEIGHT - 2 - (n / top) * (HEIGHT - 5)).toFixed(1)}`;
		});
		const first = WIDTH - (past.length - 1) * (WIDTH / (SAMPLES - 1));
		line.setAttribute("d", `M${points.join("L")}`);
		area.setAttribute("d", `M${first.toFixed(1)},${HEIGHT}L${points.join("L")}L${WIDTH},${HEIGHT}Z`);
	}
}
