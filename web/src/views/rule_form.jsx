// The form of a rule: new, or one that is there. While it is filled in, the gateway says what the rule would hit.

import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, call, get, isAbsent } from "../api.js";
import { refresh } from "../store.js";
import { Dialog } from "../ui/dialog.jsx";
import { toast } from "../ui/toast.jsx";
import { ConnectionLink, Impact } from "../ui/bits.jsx";
import { useSettled } from "../ui/hooks.js";
import { summary } from "../rule.js";
import * as f from "../format.js";

const NUMBERS = new Set(["icmp_type", "icmp_code", "priority", "ttl", "rate_limit", "confirm_within"]);
const PORTS = new Set(["src_port", "dst_port", "inner_src_port", "inner_dst_port"]);
const TIMES = [["", "for good"], ["300", "5 minutes"], ["3600", "an hour"], ["86400", "a day"], ["604800", "a week"]];
const CONFIRM = [["", "do not"], ["30", "in 30 s"], ["60", "in a minute"], ["300", "in 5 minutes"]];

/* What a field shows for a value that means "any". */
const ANY = { src_ip: "any", dst_ip: "any", inner_src_ip: "any", inner_dst_ip: "any", protocol: "any", inner_protocol: "any", src_port: 0, dst_port: 0, inner_src_port: 0, inner_dst_port: 0,
	tcp_flags: 0, tcp_flags_mask: 0, icmp_type: 255, icmp_code: 255 };

function initial(values) {
	const texts = {};
	for (const [name, value] of Object.entries(values)) {
		if (typeof value === "boolean")
			texts[name] = value;
		else if (value !== null && value !== undefined && value !== ANY[name])
			texts[name] = String(value);
	}
	return { rule_type: "tcp", action: "drop", direction: "ingress", mode: "enforce", enabled: false, ...texts };
}

/** "22" → 22, "22,80" stays text, so that the gateway says what is wrong with "abc". */
const number = (text) => (/^\d+$/.test(text) ? Number(text) : text);

const FIELDS_OF = {
	tcp: ["src_ip", "src_port", "dst_ip", "dst_port", "tcp_flags", "tcp_flags_mask"], udp: ["src_ip", "src_port", "dst_ip", "dst_port"],
	icmp: ["src_ip", "dst_ip", "icmp_type", "icmp_code", "inner_protocol", "inner_src_ip", "inner_src_port", "inner_dst_ip", "inner_dst_port"], basic: ["protocol", "src_ip", "src_port", "dst_ip", "dst_port"],
};

/** The body to send. Of a rule that is changed every field is sent, so that an emptied one means any again. */
function body(texts, editing) {
	const rule = { rule_type: texts.rule_type, action: texts.action, direction: texts.direction, mode: texts.mode, enabled: texts.enabled };
	const wanted = FIELDS_OF[texts.rule_type] ?? FIELDS_OF.basic;
	for (const name of new Set([...Object.keys(ANY), ...wanted])) {
		const text = wanted.includes(name) ? (texts[name] ?? "").trim() : "";
		if (text)
			rule[name] = NUMBERS.has(name) || PORTS.has(name) ? number(text) : text;
		else if (editing && name !== "tcp_flags_mask")
			rule[name] = name === "protocol" ? (texts.rule_type === "basic" ? "any" : texts.rule_type === "icmp" && texts.protocol ? texts.protocol : texts.rule_type) : ANY[name];
	}
	if (editing && !(texts.tcp_flags ?? "").trim())
		rule.tcp_flags_mask = 0;
	if (!editing && texts.rule_type !== "basic" && texts.protocol === "icmpv6")
		rule.protocol = "icmpv6";
	for (const name of ["priority", "ttl", "rate_limit", "confirm_within", "comment", "source"]) {
		const text = (texts[name] ?? "").trim();
		if (text && !(name === "rate_limit" && texts.action !== "drop"))
			rule[name] = NUMBERS.has(name) ? number(text) : text;
		else if (editing && (name === "ttl" || name === "rate_limit"))
			rule[name] = null;
		else if (editing && name === "comment")
			rule[name] = "";
	}
	if (rule.tcp_flags !== undefined)
		rule.tcp_flags = number(String(rule.tcp_flags));
	if (rule.tcp_flags_mask !== undefined)
		rule.tcp_flags_mask = number(String(rule.tcp_flags_mask));
	return rule;
}

/** What the rule would do, asked for while it is written. {state: "none"|"asking"|"known"|"wrong"|"absent", impact, error, rows} */
function usePreview(rule, id) {
	const [preview, setPreview] = useState({ state: "none" });
	const settled = useSettled(rule, 250);
	const text = JSON.stringify(settled);
	useEffect(() => {
		const abort = new AbortController();
		const ask = async () => {
			const { confirm_within: _, ...asked } = settled;
			try {
				const { body: impact } = await call("POST", "/api/filters/preview", { ...asked, ...(id === undefined ? {} : { id }) }, { signal: abort.signal });
				const rows = await Promise.all((impact.connections ?? []).slice(0, 6).map(async (conn) => {
					const { body: c, status } = await get(`/api/connections/${conn}`, { accept: [404], signal: abort.signal });
					return status === 200 ? c : { id: conn };
				}));
				setPreview({ state: "known", impact, rows });
			} catch (error) {
				if (!abort.signal.aborted && error instanceof ApiError)
					setPreview(isAbsent(error) ? { state: "absent" } : { state: "wrong", error });
			}
		};
		ask();
		return () => abort.abort();
	}, [text, id]);
	return preview;
}

function Preview({ preview, rule }) {
	const { state, impact, rows, error } = preview;
	return (
		<section class="preview" id="rule-preview" tabindex={0} aria-label="What this rule would hit" aria-live="polite" data-state={state}>
			<h3>What it would hit</h3>
			<p class="mono small">{summary(impact?.rule ?? rule)}</p>
			{state === "none" && <p class="hint">Asking …</p>}
			{state === "absent" && <p class="hint">This gateway does not offer previews.</p>}
			{state === "wrong" && <p class="hint">{error.message}</p>}
			{state === "known" && (
				<>
					<Impact impact={impact} />
					{rows.length > 0 && <ul class="hits" id="preview-connections">{rows.map((c) => (
						<li key={c.id}><ConnectionLink id={c.id}>{c.key ?? c.id}</ConnectionLink>{c.key && <span class="soft"> {c.end_reason ? "ended" : (c.state ?? "").replace("_", " ")} · {f.bytes(c.orig_bytes + c.resp_bytes)}</span>}</li>))}</ul>}
					{!impact.live && !impact.ended && !impact.icmp && <p class="hint">Nothing that is known now: it would only meet what comes.</p>}
				</>)}
		</section>
	);
}

function Field({ name, label, texts, set, error, ...rest }) {
	return <label>{label}<input name={name} value={texts[name] ?? ""} oninput={(event) => set(name, event.target.value)} spellcheck={false} aria-invalid={error?.field === name ? "true" : undefined} {...rest} /></label>;
}

function Choice({ name, label, texts, set, options, error }) {
	return (
		<label>{label}<select name={name} value={texts[name] ?? ""} onchange={(event) => set(name, event.target.value)} aria-invalid={error?.field === name ? "true" : undefined}>
			{options.map((option) => { const [value, text] = Array.isArray(option) ? option : [option, option]; return <option key={value} value={value}>{text}</option>; })}
			{texts[name] && !options.some((option) => (Array.isArray(option) ? option[0] : option) === texts[name]) && <option value={texts[name]}>{name === "ttl" ? f.span(Number(texts[name])) : texts[name]}</option>}
		</select></label>
	);
}

function Matching(props) {
	const type = props.texts.rule_type;
	const field = (name, label, rest = {}) => <Field key={name} name={name} label={label} placeholder="any" {...rest} {...props} />;
	return (
		<>
			{type === "basic" && field("protocol", "Protocol")}
			{field("src_ip", "Source address")}
			{type !== "icmp" && field("src_port", "Source port", { placeholder: "any" })}
			{field("dst_ip", "Destination address")}
			{type !== "icmp" && field("dst_port", "Destination port", { placeholder: "any; 8000-8100; 22,80" })}
			{type === "tcp" && <>{field("tcp_flags", "TCP flags", { placeholder: "any, or SYN|ACK" })}{field("tcp_flags_mask", "of these flags", { placeholder: "the same" })}</>}
			{type === "icmp" && (
				<>
					{field("icmp_type", "ICMP type", { placeholder: "any (8 = echo request)", inputmode: "numeric" })}{field("icmp_code", "ICMP code", { inputmode: "numeric" })}
					{field("inner_protocol", "Quoted protocol")}{field("inner_src_ip", "Quoted source")}{field("inner_dst_ip", "Quoted destination")}{field("inner_dst_port", "Quoted destination port")}
				</>)}
		</>
	);
}

export function RuleForm({ id, values, onclose }) {
	const editing = id !== undefined;
	const [texts, setTexts] = useState(() => initial(values));
	const [error, setError] = useState(null);
	const form = useRef(null);
	const set = (name, value) => {
		setTexts((was) => ({ ...was, [name]: value }));
		setError(null);
	};
	const rule = body(texts, editing);
	const preview = usePreview(rule, id);
	const props = { texts, set, error };

	useEffect(() => { error?.field && form.current.elements[error.field]?.focus(); }, [error]);

	const send = async (force) => {
		const path = editing ? `/api/filters/${id}` : "/api/filters";
		try {
			const { body: made } = await call(editing ? "PATCH" : "POST", force ? `${path}?force=1` : path, rule);
			onclose();
			refresh("rules");
			toast(editing ? `Rule ${made.id} is changed.` : `Rule ${made.id} is made${made.enabled ? (made.mode === "shadow" ? " and counts" : " and in force") : "; switch it on when you are ready"}.`);
			for (const warning of made.warnings ?? [])
				toast(warning, "error");
		} catch (problem) {
			if (!(problem instanceof ApiError))
				throw problem;
			setError(problem);
		}
	};
	return (
		<Dialog id="rule-dialog" title={editing ? `Rule ${id}` : "New rule"} onclose={onclose} wide>
			<form id="rule-form" ref={form} autocomplete="off" novalidate onsubmit={(event) => { event.preventDefault(); send(false); }}>
				{error && (
					<div class="error" id="rule-error" role="alert">
						<p>{error.message}</p>
						{error.code === "lockout" && <><ul class="reasons">{error.guard.map((g) => <li key={g.message ?? g.subject}>{g.message ?? `${g.kind}: ${g.subject}`}</li>)}</ul>
							<button type="button" class="danger" id="rule-force" onclick={() => send(true)}>Do it all the same</button></>}
					</div>)}
				<div class="form-columns">
					<div>
						<div class="grid">
							<Choice name="rule_type" label="Type" options={["tcp", "udp", "icmp", "basic"]} {...props} />
							<Choice name="action" label="Action" options={["drop", "allow"]} {...props} />
							<Choice name="direction" label="Direction" options={["ingress", "egress", "both"]} {...props} />
							<Choice name="mode" label="Mode" options={[["enforce", "enforce"], ["shadow", "shadow: only count"]]} {...props} />
							<Matching {...props} />
						</div>
						<div class="grid">
							<Field name="priority" label="Priority" inputmode="numeric" placeholder="1000" {...props} />
							<Choice name="ttl" label="Lasts" options={TIMES} {...props} />
							{texts.action === "drop" && <Field name="rate_limit" label="Let pass first" inputmode="numeric" placeholder="packets/s a source" {...props} />}
							<Choice name="confirm_within" label="Roll back unless confirmed" options={CONFIRM} {...props} />
							<label class="wide">Comment<input name="comment" maxlength={512} value={texts.comment ?? ""} oninput={(event) => set("comment", event.target.value)} /></label>
						</div>
						<label class="check"><input type="checkbox" name="enabled" checked={texts.enabled} onchange={(event) => set("enabled", event.target.checked)} /> Enabled</label>
					</div>
					<Preview preview={preview} rule={rule} />
				</div>
				<div class="actions">
					<button type="button" id="rule-cancel" class="quiet" onclick={onclose}>Cancel</button>
					<button type="submit" class="primary">{editing ? "Save" : "Create rule"}</button>
				</div>
			</form>
		</Dialog>
	);
}
