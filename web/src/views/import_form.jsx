// Rules from a file: a JSON array, or a list with an address or network on each line.

import { useState } from "preact/hooks";
import { ApiError, call } from "../api.js";
import { refresh } from "../store.js";
import { Dialog } from "../ui/dialog.jsx";
import { toast } from "../ui/toast.jsx";
import * as f from "../format.js";

export function ImportForm({ onclose }) {
	const [text, setText] = useState("");
	const [action, setAction] = useState("drop");
	const [mode, setMode] = useState("shadow");
	const [comment, setComment] = useState("");
	const [error, setError] = useState("");
	const json = text.trimStart().startsWith("[");
	const lines = text.split("\n").filter((line) => line.replace(/#.*/, "").trim()).length;

	const choose = async (event) => {
		const file = event.target.files[0];
		if (file)
			setText(await file.text());
	};
	const send = async (event) => {
		event.preventDefault();
		setError("");
		try {
			const query = json ? "" : `?${new URLSearchParams({ action, mode, enabled: "true", ...(comment ? { comment } : {}) })}`;
			const { body } = json ? await call("POST", "/api/filters/import", JSON.parse(text)) : await call("POST", `/api/filters/import${query}`, text, { text: true, timeout: 30000 });
			toast(`${f.plural(body.added, "rule")} added${body.duplicates ? `, ${f.count(body.duplicates)} known already` : ""}.`);
			refresh("rules");
			onclose();
		} catch (problem) {
			if (!(problem instanceof ApiError) && !(problem instanceof SyntaxError))
				throw problem;
			setError(problem instanceof SyntaxError ? `This is no JSON: ${problem.message}` : problem.message);
		}
	};
	return (
		<Dialog id="import-dialog" title="Import rules" onclose={onclose}>
			<form onsubmit={send} autocomplete="off">
				{error && <p class="error" role="alert">{error}</p>}
				<p class="hint">A list with one address or network a line (# begins a comment), or a JSON array of rules as Export writes it.</p>
				<label>From a file<input type="file" accept=".txt,.json,.list,.csv,text/plain,application/json" onchange={choose} /></label>
				<label>or as text<textarea id="import-text" rows={8} value={text} oninput={(event) => setText(event.target.value)} placeholder={"203.0.113.0/24\n198.51.100.7   # scanner"} spellcheck={false} /></label>
				{!json && (
					<div class="grid">
						<label>Action<select value={action} onchange={(event) => setAction(event.target.value)}><option>drop</option><option>allow</option></select></label>
						<label>Mode<select value={mode} onchange={(event) => setMode(event.target.value)}><option value="shadow">shadow: only count</option><option>enforce</option></select></label>
						<label class="wide">Comment<input value={comment} maxlength={512} oninput={(event) => setComment(event.target.value)} /></label>
					</div>)}
				<div class="actions">
					<button type="button" class="quiet" onclick={onclose}>Cancel</button>
					<button type="submit" class="primary" id="import-go" disabled={!text.trim()}>{json ? "Import" : `Import ${f.plural(lines, "line")}`}</button>
				</div>
			</form>
		</Dialog>
	);
}
