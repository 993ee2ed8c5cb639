// What happens, as it happens: the stream of events, line by line.

import { useEffect, useRef, useState } from "preact/hooks";
import { link, paused } from "../store.js";
import { Stream } from "../stream.js";
import { href } from "../route.js";
import { Badge } from "../ui/bits.jsx";
import { dropWords, ends, icmpName, kindName } from "../words.js";
import { summary } from "../rule.js";
import * as f from "../format.js";

const KEEP = 400;
const TOPICS = [["conn.new", "begun"], ["conn.end", "ended"], ["drop", "dropped"], ["icmp", "ICMP"], ["rule", "rules"], ["finding", "findings"]];

/* What a line says: {text, id of a connection}; a label and its kind, if the topic's are not right. */
const TEXTS = {
	"conn.new": (r) => ({ text: `${r.proto.toUpperCase()} ${ends(r)}`, id: r.id }),
	"conn.end": (r) => ({ text: `${r.proto.toUpperCase()} ${ends(r)}: ${r.end_reason}, ${f.bytes(r.orig_bytes + r.resp_bytes)} in ${f.span(r.duration)}`, id: r.id }),
	drop: (r) => ({ ...dropWords(r), id: r.connection }),
	icmp: (r) => ({ text: `${icmpName(r)}: ${r.src_ip} → ${r.dst_ip}, ${f.plural(r.packets, "packet")}` }),
	rule: (r) => ({ text: `rule ${r.id ?? ""} ${r.action}${r.after ? `: ${summary(r.after)}` : ""}${r.who ? ` (${r.who})` : ""}` }),
	finding: (r) => ({ text: `${kindName(r.kind)}: ${r.title}` }),
	gap: (r) => ({ text: `${f.plural(r.lost ?? 0, "event")} of ${r.topic ?? "the stream"} could not be given to this page` }),
};

const KINDS = { "conn.new": "established", "conn.end": "ended", drop: "drop", rule: "shadow", finding: "warn", gap: "warn" };

export function Events() {
	const [topics, setTopics] = useState(["conn.new", "conn.end", "drop", "rule", "finding"]);
	const [lines, setLines] = useState([]);
	const [state, setState] = useState("connecting");
	const fresh = useRef([]), count = useRef(0);
	useEffect(() => {
		if (!topics.length)
			return undefined;
		const stream = new Stream(topics, {
			open: () => setState("open"), lost: ({ status }) => setState(status === 404 ? "absent" : "lost"),
			event: (name, data) => {
				if (!paused.value && TEXTS[name])
					fresh.current.push({ key: ++count.current, at: Date.now(), name, ...TEXTS[name](data) });
				if (fresh.current.length > KEEP)
					fresh.current.splice(0, fresh.current.length - KEEP);
			},
		});
		/* Many a second are shown together: no eye reads faster. */
		const timer = setInterval(() => {
			if (!fresh.current.length)
				return;
			const added = fresh.current.reverse();
			fresh.current = [];
			setLines((was) => [...added, ...was].slice(0, KEEP));
		}, 250);
		return () => {
			stream.close();
			clearInterval(timer);
		};
	}, [topics.join()]);
	const toggle = (topic) => setTopics(topics.includes(topic) ? topics.filter((t) => t !== topic) : [...topics, topic]);
	return (
		<div class="view fill" id="view-events">
			<div class="bar">
				<fieldset class="choices grow"><legend class="visually-hidden">Topics</legend>{TOPICS.map(([topic, label]) => (
					<label key={topic} class="check"><input type="checkbox" checked={topics.includes(topic)} onchange={() => toggle(topic)} /> {label}</label>))}</fieldset>
				<p class="shown" role="status">{state === "open" ? `${f.count(count.current)} so far` : state === "absent" ? "not offered" : state === "lost" ? "the stream was lost; trying again" : "connecting …"}</p>
				<button type="button" class="quiet" onclick={() => setLines([])}>Clear</button>
			</div>
			<div class="panel flush log" tabindex={0} role="log" aria-label="Events" aria-live="off">
				<ol id="event-lines">{lines.map((line) => (
					<li key={line.key}><time>{f.clock(new Date(line.at).toISOString())}</time><Badge kind={line.kind ?? KINDS[line.name]}>{line.label ?? line.name}</Badge>
						{line.id ? <a href={href("connections", { id: line.id })}>{line.text}</a> : <span>{line.text}</span>}</li>))}</ol>
				{!lines.length && <p class="empty">{state === "absent" ? "This gateway has no stream of events." : link.value.state === "down" ? "The gateway does not answer." : "Nothing happened yet."}</p>}
			</div>
		</div>
	);
}
