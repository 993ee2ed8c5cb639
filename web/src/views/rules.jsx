// Filter rules: what they match, what they hit, how long they stay, and what can be done with them.

import { useEffect, useState } from "preact/hooks";
import { ApiError, call, get, isAbsent } from "../api.js";
import { refresh, rules, tick } from "../store.js";
import { note, route } from "../route.js";
import { Age, Badge } from "../ui/bits.jsx";
import { confirmed } from "../ui/dialog.jsx";
import { toast } from "../ui/toast.jsx";
import { usePoll } from "../ui/hooks.js";
import { effect, settable, summary } from "../rule.js";
import { RuleForm } from "./rule_form.jsx";
import { ImportForm } from "./import_form.jsx";
import * as f from "../format.js";

/**
 * Does something to rules and says how it went. A refusal of the lock-out guard is shown with its reasons, and done all the same if the
 * person says so: what(force) is called again with true.
 */
export async function act(what, done) {
	try {
		await what(false);
		if (done)
			toast(done);
	} catch (error) {
		if (!(error instanceof ApiError))
			throw error;
		if (error.status === 409 && error.code === "lockout") {
			if (await confirmed("This would cut somebody off", error.message, "Do it all the same", error.guard.map((g) => g.message ?? `${g.kind}: ${g.subject}`)))
				await act(() => what(true), done);
		} else {
			toast(error.message, "error");
		}
	}
	refresh("rules");
}

export const forced = (path, force) => (force ? `${path}?force=1` : path);

async function toggle(r) {
	const verb = r.enabled ? "disable" : "enable";
	await act((force) => call("POST", forced(`/api/filters/${r.id}/${verb}`, force)), `Rule ${r.id} is ${r.enabled ? "switched off" : "in force"}.`);
}

async function remove(r) {
	const text = `${summary(r)}${r.comment ? ` – ${r.comment}` : ""}. Its counters go with it.`;
	if (await confirmed(`Delete rule ${r.id}?`, text, "Delete"))
		await act((force) => call("DELETE", forced(`/api/filters/${r.id}`, force)), `Rule ${r.id} is deleted.`);
}

const promote = (r) => act((force) => call("POST", forced(`/api/filters/${r.id}/promote`, force)), `Rule ${r.id} is enforced now.`);

export const confirmRule = (r) => act(() => call("POST", `/api/filters/${r.id}/confirm`), `Rule ${r.id} stays.`);

/** Seconds left, as they pass. */
export function Countdown({ until }) {
	tick.value;
	const left = Math.max(0, Math.ceil(f.secondsTo(until)));
	return <b class="countdown" role="timer">{left}{"\u2009"}s</b>;
}

function Life({ r }) {
	tick.value;
	if (r.confirm_by)
		return <Badge kind="warn" title={`Rolled back at ${f.clock(r.confirm_by)} unless it is confirmed`}>confirm within <Countdown until={r.confirm_by} /></Badge>;
	if (r.expired)
		return <Badge kind="ended" title="It matches nothing any more and goes by itself">expired</Badge>;
	if (r.expires_at)
		return <span class="soft" title={`Until ${f.clock(r.expires_at)}`}>{f.span(Math.max(0, f.secondsTo(r.expires_at)))} left</span>;
	return null;
}

function Rule({ r, onedit }) {
	const shadow = r.mode === "shadow";
	return (
		<tr data-id={r.id} data-off={!r.enabled || r.expired || undefined} data-pending={r.confirm_by ? "" : undefined}>
			<td class="enabled"><input type="checkbox" role="switch" class="switch" checked={r.enabled} aria-label={`Rule ${r.id} enabled`} onclick={(event) => { event.preventDefault(); toggle(r); }} /></td>
			<td class="number id">{r.id}</td>
			<td class="action"><Badge kind={shadow ? "shadow" : r.action} title={shadow ? `Counts what it would ${r.action}, does nothing` : undefined}>{shadow ? `shadow ${r.action}` : effect(r)}</Badge></td>
			<td class="match"><span class="mono">{summary(r)}</span>
				<span class="sub">{r.direction !== "ingress" && <span>{r.direction}</span>}{r.source !== "user" && <span>from {r.source === "ai" ? "the AI worker" : r.source === "import" ? "an import" : `the ${r.source}`}</span>}{r.comment && <span class="comment">{r.comment}</span>}</span></td>
			<td class="life"><Life r={r} /></td>
			<td class="number priority">{f.count(r.priority)}</td>
			<td class="number hits">{f.count(r.packets)}</td>
			<td class="number hitbytes">{f.bytes(r.bytes)}</td>
			<td class="number lasthit soft"><Age time={r.last_hit} /></td>
			<td class="do">
				{r.confirm_by && <button type="button" class="primary small confirm" onclick={() => confirmRule(r)}>Keep</button>}
				{shadow && <button type="button" class="small promote" onclick={() => promote(r)} title="Enforce what it only counted so far">Promote</button>}
				<button type="button" class="quiet small edit" aria-label={`Edit rule ${r.id}`} onclick={() => onedit(r)}>Edit</button>
				<button type="button" class="quiet small danger delete" aria-label={`Delete rule ${r.id}`} onclick={() => remove(r)}>Delete</button>
			</td>
		</tr>
	);
}

async function save(format) {
	try {
		const { body } = await get(`/api/filters/export?format=${format}`);
		const text = typeof body === "string" ? body : JSON.stringify(body, null, 2);
		const url = URL.createObjectURL(new Blob([text], { type: format === "json" ? "application/json" : "text/plain" }));
		const link = Object.assign(document.createElement("a"), { href: url, download: `packetscope-rules.${format === "json" ? "json" : "txt"}` });
		link.click();
		setTimeout(() => URL.revokeObjectURL(url), 1000);
	} catch (error) {
		toast(error.message, "error");
	}
}

function Protected() {
	const [list, setList] = useState(null);
	const [text, setText] = useState("");
	const [problem, setProblem] = useState("");
	const load = usePoll(async (gone) => {
		try {
			const { body } = await get("/api/protected");
			if (!gone())
				setList(body);
		} catch (error) {
			if (!isAbsent(error))
				throw error;
			setList(false);
		}
	}, 10, []);
	if (!list)
		return null;
	const put = async (cidrs) => {
		try {
			const { body } = await call("PUT", "/api/protected", cidrs);
			setProblem("");
			setText("");
			if (Array.isArray(body))
				setList(body);
			load.current();
		} catch (error) {
			setProblem(error.message);
		}
	};
	const own = list.filter((p) => p.origin !== "config").map((p) => p.cidr);
	return (
		<section class="panel protected" aria-labelledby="protected-title">
			<header><h2 id="protected-title">Protected networks</h2><p class="hint">A rule that would cut them off is refused unless it is forced.</p></header>
			<ul class="chips">{list.map((p) => (
				<li key={p.cidr} class="mono">{p.cidr}{p.origin === "config" ? <span class="soft"> configured</span> :
					<button type="button" class="quiet small" aria-label={`Protect ${p.cidr} no longer`} onclick={() => put(own.filter((cidr) => cidr !== p.cidr))}>✕</button>}</li>))}
				{!list.length && <li class="soft">none</li>}</ul>
			<form class="inline" onsubmit={(event) => { event.preventDefault(); if (text.trim()) put([...own, text.trim()]); }}>
				<label><span class="visually-hidden">Network to protect</span><input name="cidr" placeholder="192.0.2.0/24" value={text} oninput={(event) => setText(event.target.value)} spellcheck={false} aria-invalid={problem ? "true" : undefined} /></label>
				<button type="submit">Protect</button>
				{problem && <p class="error" role="alert">{problem}</p>}
			</form>
		</section>
	);
}

/** Rules that wait to be confirmed are shown above every view. */
export function Pending() {
	tick.value;
	const waiting = (rules.value ?? []).filter((r) => r.confirm_by && f.secondsTo(r.confirm_by) > -1);
	if (!waiting.length)
		return null;
	return (
		<div class="banner pending" data-kind="warn" role="status" id="pending">{waiting.map((r) => (
			<p key={r.id}>Rule {r.id} ({effect(r)} {summary(r)}) is rolled back in <Countdown until={r.confirm_by} /> unless you keep it.
				<button type="button" class="primary small" onclick={() => confirmRule(r)}>Keep it</button></p>))}</div>
	);
}

const SHOWN = 300; // rows of the table: more are found by the filter

/** Rules that have all words somewhere in what is shown of them. */
function matching(list, text) {
	const words = text.trim().toLowerCase().split(/\s+/).filter(Boolean);
	if (!words.length)
		return list;
	return list.filter((r) => {
		const all = `#${r.id} ${r.action} ${r.mode} ${summary(r)} ${r.direction} ${r.source} ${r.comment}`.toLowerCase();
		return words.every((word) => all.includes(word));
	});
}

export function Rules() {
	const { args } = route.value;
	const list = rules.value;
	const [text, setText] = useState("");
	const found = matching(list ?? [], text);
	const [form, setForm] = useState(null); // {id: edited, values}
	const [importing, setImporting] = useState(false);
	useEffect(() => {
		if (args.new === undefined)
			return;
		let values = {};
		try {
			values = JSON.parse(args.new || "{}");
		} catch {
			// a link that somebody made by hand
		}
		setForm({ values });
		note({});
	}, [args.new]);
	return (
		<div class="view" id="view-rules">
			<div class="bar">
				{(list?.length ?? 0) > 10 ? (
					<label class="grow search"><span class="visually-hidden">Filter rules</span>
						<input type="search" id="rule-q" placeholder="Filter: address, port, comment, shadow, #12   ( / )" spellcheck={false} maxlength={120} value={text} oninput={(event) => setText(event.target.value)} /></label>) :
					<p class="grow hint">The first enabled rule that matches decides, by priority and then by number. What no rule matches passes.</p>}
				<button type="button" id="rule-import" onclick={() => setImporting(true)}>Import</button>
				<button type="button" id="rule-export" disabled={!list?.length} onclick={() => save("json")}>Export</button>
				<button type="button" id="rule-new" class="primary" onclick={() => setForm({ values: {} })}>New rule</button>
			</div>
			<section class="panel flush" aria-label="Filter rules">
				<div class="sideways" tabindex={0} role="region" aria-label="Table of filter rules">
					<table class="plain rules" id="rule-table">
						<thead><tr><th scope="col">On</th><th scope="col" class="number">Rule</th><th scope="col">Does</th><th scope="col">Matches</th><th scope="col"><span class="visually-hidden">Life</span></th><th scope="col" class="number">Priority</th>
							<th scope="col" class="number">Packets</th><th scope="col" class="number">Bytes</th><th scope="col" class="number">Last hit</th><th scope="col"><span class="visually-hidden">Actions</span></th></tr></thead>
						<tbody>{found.slice(0, SHOWN).map((r) => <Rule key={r.id} r={r} onedit={(rule) => setForm({ id: rule.id, values: settable(rule) })} />)}</tbody>
					</table>
				</div>
				{!found.length && <p class="empty" id="rule-empty">{!list ? "Waiting for the first answer …" : list.length ? "No rule matches this filter." : "There are no rules: everything passes."}</p>}
				{found.length > SHOWN && <p class="hint tablenote">The first {SHOWN} of {f.count(found.length)}; filter to see the others.</p>}
			</section>
			<Protected />
			{form && <RuleForm id={form.id} values={form.values} onclose={() => setForm(null)} />}
			{importing && <ImportForm onclose={() => setImporting(false)} />}
		</div>
	);
}

