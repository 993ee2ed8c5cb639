// Lines over time, on a canvas (uPlot). The figures behind them stand in the text beside, so a screen reader misses nothing.

import uPlot from "uplot";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { useSize } from "./hooks.js";
import { samples } from "../store.js";
import { theme } from "./theme.js";

/** What a CSS colour variable is now, also where it depends on the theme. */
function colour(node, name) {
	const probe = node.appendChild(document.createElement("i"));
	probe.style.color = `var(${name})`;
	const value = getComputedStyle(probe).color;
	probe.remove();
	return value;
}

const faded = (rgb, alpha) => rgb.replace(/^rgba?\(([^)]*)\)$/, (_, inner) => `rgb(${inner.split(/[ ,/]+/).slice(0, 3).join(" ")} / ${alpha})`);

const two = (n) => String(n).padStart(2, "0");
const clock = (t, seconds) => {
	const d = new Date(t * 1000);
	return `${two(d.getHours())}:${two(d.getMinutes())}${seconds ? `:${two(d.getSeconds())}` : ""}`;
};

function options(node, lines, format, size) {
	const grid = colour(node, "--line"), text = colour(node, "--soft");
	const axis = { stroke: text, font: "11px system-ui, sans-serif", grid: { stroke: grid, width: 1 }, ticks: { show: false } };
	return {
		...size,
		padding: [8, 26, 0, 0], // on the right half of a label, which stands under the middle of its line
		cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false }, sync: { key: "figures" } },
		legend: { show: false },
		scales: { x: { time: true }, y: { range: (_, __, max) => [0, Math.max(max * 1.1, 1)] } },
		axes: [
			{ ...axis, size: 24, gap: 4, space: 70, values: (_, ticks, __, ___, step) => ticks.map((t) => clock(t, step < 60)) },
			{ ...axis, size: 54, gap: 4, space: 30, values: (_, ticks) => ticks.map(format) },
		],
		series: [{}, ...lines.map((line) => {
			const stroke = colour(node, line.colour);
			return { label: line.label, stroke, width: 1.6, fill: line.area ? faded(stroke, 0.16) : undefined, points: { show: false }, spanGaps: false };
		})],
	};
}

const SPAN = 120; // seconds at least, so that a young page does not stretch three points over its width

function data(lines) {
	const end = samples.time.at(-1) ?? Date.now() / 1000;
	const begin = samples.time[0] ?? end;
	const lead = end - begin < SPAN ? [end - SPAN] : [];
	return [[...lead, ...samples.time], ...lines.map(({ series }) => [...lead.map(() => null), ...(samples.series[series] ?? [])])];
}

/** lines: {series (of store.samples), label, colour (CSS variable), area}; format(n) for the axis, unit(n) for the figures. */
export function Plot({ id, title, lines, format, unit = format }) {
	const [box, size] = useSize({ width: 300, height: 150 });
	const plot = useRef(null);
	const mode = theme.value;
	const version = samples.version.value;
	useLayoutEffect(() => {
		plot.current = new uPlot(options(box.current, lines, format, { width: Math.max(80, size.width), height: Math.max(60, size.height) }), data(lines), box.current);
		return () => plot.current.destroy();
	}, [mode]);
	useEffect(() => { plot.current.setSize({ width: Math.max(80, size.width), height: Math.max(60, size.height) }); }, [size.width, size.height]);
	useEffect(() => { plot.current.setData(data(lines)); }, [version, mode]);
	return (
		<section class="panel plot" id={id} aria-labelledby={`${id}-title`}>
			<header><h2 id={`${id}-title`}>{title}</h2>
				<ul class="legend">{lines.map((line) => (
					<li key={line.series}><span class="swatch" style={{ background: `var(${line.colour})` }} aria-hidden="true" />{line.label} <b>{unit(samples.series[line.series]?.at(-1) ?? 0)}</b></li>))}</ul>
			</header>
			<div class="canvas" ref={box} role="img" aria-label={`${title} of the last minutes; now ${lines.map((line) => `${line.label} ${unit(samples.series[line.series]?.at(-1) ?? 0)}`).join(", ")}`} />
		</section>
	);
}

