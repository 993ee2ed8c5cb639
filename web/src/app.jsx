// The frame around the views: where to go, whether it is live, what is wrong, and the keys.

import { useEffect, useState } from "preact/hooks";
import { findings, health, link, pause, paused, rules, stats } from "./store.js";
import { VIEWS, go, href, route } from "./route.js";
import { choice, nextTheme } from "./ui/theme.js";
import { Dialog, Questions } from "./ui/dialog.jsx";
import { Toasts } from "./ui/toast.jsx";
import { Overview } from "./views/overview.jsx";
import { Connections } from "./views/connections.jsx";
import { Icmp } from "./views/icmp.jsx";
import { Pending, Rules } from "./views/rules.jsx";
import { Findings } from "./views/findings.jsx";
import { Assistant } from "./views/assistant.jsx";
import { Events } from "./views/events.jsx";
import { Health } from "./views/health.jsx";
import * as f from "./format.js";

const SHOWN = { overview: Overview, connections: Connections, icmp: Icmp, rules: Rules, findings: Findings, assistant: Assistant, events: Events, health: Health };
const NAMES = { overview: "Overview", connections: "Connections", icmp: "ICMP", rules: "Rules", findings: "Findings", assistant: "Assistant", events: "Events", health: "Health" };

/* Drawn on 24 × 24, as lines. */
const ICONS = {
	overview: "M4 13h6V4H4zM14 20h6V4h-6zM4 20h6v-4H4z", connections: "M4 7h13m0 0-3-3m3 3-3 3M20 17H7m0 0 3-3m-3 3 3 3", icmp: "M12 20a8 8 0 1 0-8-8M12 12l5-5M12 16a4 4 0 1 0-4-4",
	rules: "M12 3l7 3v5c0 5-3 8-7 10-4-2-7-5-7-10V6z", findings: "M12 4l9 16H3zM12 10v4m0 3v.01", assistant: "M5 5h14v10H10l-5 4zM9 10h.01M12 10h.01M15 10h.01",
	events: "M4 6h16M4 12h10M4 18h13", health: "M3 12h4l2-6 4 12 3-8 1 2h4",
};

const KEYS = [["1 … 8", "the views, in their order"], ["/", "the filter"], ["p", "pause and resume"], ["n", "a new rule"], ["t", "dark, light, automatic"], ["↑ ↓ PgUp PgDn Home End", "move in a table that has the focus"],
	["Enter", "open the row"], ["Esc", "close details or dialog"], ["?", "this list"]];

function count(view) {
	switch (view) {
	case "connections": return stats.value && (stats.value.table.known < 10000 ? f.count(stats.value.table.known) : `${Math.round(stats.value.table.known / 1000)}k`);
	case "icmp": return stats.value?.table.icmp ? f.count(stats.value.table.icmp) : null;
	case "rules": return rules.value?.length ? f.count(rules.value.length) : null;
	case "findings": { const open = (findings.value ?? []).filter((x) => x.open !== false).length; return open ? f.count(open) : null; }
	default: return null;
	}
}

function Nav() {
	return (
		<nav aria-label="Views" class="nav">
			<ul>{VIEWS.map((view) => (
				<li key={view}><a id={`nav-${view}`} href={href(view)} aria-current={route.value.view === view ? "page" : undefined}>
					<svg viewBox="0 0 24 24" aria-hidden="true"><path d={ICONS[view]} /></svg><span>{NAMES[view]}</span>
					{count(view) && <span class="count" data-alarm={view === "findings" || undefined}>{count(view)}</span>}</a></li>))}</ul>
		</nav>
	);
}

const LINK_WORDS = { live: "live", polling: "polling", down: "no answer", connecting: "connecting" };

function Top({ onhelp }) {
	const parts = Object.entries(health.value?.parts ?? {});
	return (
		<header class="top">
			<h1><img src="/assets/icon.svg" alt="" width="24" height="24" />Packet Scope</h1>
			<ul id="parts" class="parts" aria-label="Parts">{parts.map(([name, part]) => (
				<li key={name} class="pill" data-state={link.value.state === "down" ? "unknown" : part.ok ? "ok" : "down"} title={part.reason ?? `process ${part.pid ?? "?"}${part.version ? `, version ${part.version}` : ""}`}>
					<span class="dot" aria-hidden="true" />{name}<span class="visually-hidden">{link.value.state === "down" ? ": unknown" : part.ok ? ": works" : ": down"}</span></li>))}</ul>
			<span class="link" id="link" data-state={paused.value ? "paused" : link.value.state} role="status"><span class="dot" aria-hidden="true" />{paused.value ? "paused" : LINK_WORDS[link.value.state]}</span>
			<button type="button" id="pause" class="quiet" aria-pressed={paused.value} title="Hold everything as it is (p)" onclick={() => pause(!paused.value)}>{paused.value ? "Resume" : "Pause"}</button>
			<button type="button" id="theme" class="quiet icon" title={`Colours: ${choice.value} (t)`} aria-label={`Colours: ${choice.value}; change`} onclick={nextTheme}>{{ auto: "◐", dark: "●", light: "○" }[choice.value]}</button>
			<button type="button" id="help" class="quiet icon" title="Keys (?)" aria-label="Keys" onclick={onhelp}>?</button>
		</header>
	);
}

function Banner() {
	const parts = Object.entries(health.value?.parts ?? {});
	const bad = parts.filter(([, part]) => !part.ok).map(([, part]) => part.reason);
	const warnings = parts.flatMap(([name, part]) => (part.warnings ?? []).map((text) => `${name}: ${text}`));
	const [kind, text] = link.value.state === "down" ? ["down", link.value.text] : bad.length ? [health.value.status === "down" ? "down" : "warn", bad.join("\n")] : ["warn", warnings.join("\n")];
	return text ? <p id="banner" class="banner" data-kind={kind} role="status">{text}</p> : null;
}

function Help({ onclose }) {
	return (
		<Dialog id="help-dialog" title="Keys" onclose={onclose}>
			<dl class="keys">{KEYS.map(([key, text]) => <div key={key}><dt><kbd>{key}</kbd></dt><dd>{text}</dd></div>)}</dl>
			<div class="actions"><button type="button" class="primary" onclick={onclose}>Close</button></div>
		</Dialog>
	);
}

function useKeys(onhelp) {
	useEffect(() => {
		const onkey = (event) => {
			if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input, select, textarea, dialog"))
				return;
			const view = VIEWS[Number(event.key) - 1];
			if (view) {
				go(view);
			} else if (event.key === "p") {
				pause(!paused.value);
			} else if (event.key === "t") {
				nextTheme();
			} else if (event.key === "n") {
				go("rules", { new: "{}" });
			} else if (event.key === "?") {
				onhelp();
			} else if (event.key === "/") {
				if (!document.querySelector("input[type=search]"))
					go("connections");
				requestAnimationFrame(() => requestAnimationFrame(() => document.querySelector("input[type=search]")?.select()));
			} else {
				return;
			}
			event.preventDefault();
		};
		document.addEventListener("keydown", onkey);
		return () => document.removeEventListener("keydown", onkey);
	}, []);
}

export function App() {
	const [help, setHelp] = useState(false);
	useKeys(() => setHelp(true));
	const { view } = route.value;
	const View = SHOWN[view];
	useEffect(() => { document.title = `${NAMES[view]} – Packet Scope`; }, [view]);
	return (
		<div class="app" data-stale={link.value.state === "down" || undefined} data-paused={paused.value || undefined}>
			<a class="skip" href="#main" onclick={(event) => { event.preventDefault(); document.getElementById("main").focus(); }}>Skip to the view</a>
			<Top onhelp={() => setHelp(true)} />
			<Banner />
			<Pending />
			<div class="body">
				<Nav />
				<main id="main" tabindex={-1} aria-label={NAMES[view]}><View key={view} /></main>
			</div>
			<Questions />
			{help && <Help onclose={() => setHelp(false)} />}
			<Toasts />
		</div>
	);
}
