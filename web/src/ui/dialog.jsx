// Modal dialogs on <dialog>: the browser keeps the focus inside and gives it back, Escape closes.

import { signal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";

export function Dialog({ id, title, onclose, wide, children }) {
	const ref = useRef(null);
	useLayoutEffect(() => { // no key or click may fall between what is drawn and what is modal
		const dialog = ref.current;
		const from = document.activeElement;
		dialog.showModal();
		return () => {
			dialog.close();
			if (from?.isConnected)
				from.focus();
		};
	}, []);
	return (
		<dialog id={id} ref={ref} class={wide ? "wide" : undefined} aria-labelledby={`${id}-title`}
			oncancel={(event) => { event.preventDefault(); onclose(); }}>
			<h2 id={`${id}-title`}>{title}</h2>
			{children}
		</dialog>
	);
}

const question = signal(null);

const ask = (values) => new Promise((resolve) => {
	question.value?.resolve(null);
	question.value = { ...values, resolve };
});

function answer(value) {
	const { resolve } = question.value;
	question.value = null;
	resolve(value);
}

/** true or false */
export const confirmed = async (title, text, yes, details = []) => (await ask({ title, text, yes, danger: true, details })) !== null;

/** The token, or null. */
export const askToken = (text) => ask({ title: "API token", text, yes: "Use token", input: true });

export function Questions() {
	const q = question.value;
	if (!q)
		return null;
	const submit = (event) => {
		event.preventDefault();
		answer(q.input ? event.target.elements.answer.value.trim() : true);
	};
	return (
		<Dialog key={q.title} id="ask-dialog" title={q.title} onclose={() => answer(null)}>
			<form onsubmit={submit} autocomplete="off">
				<p>{q.text}</p>
				{q.details?.length > 0 && <ul class="reasons">{q.details.map((text) => <li key={text}>{text}</li>)}</ul>}
				{q.input && <label>API token<input name="answer" type="password" spellcheck={false} autofocus /></label>}
				<div class="actions">
					<button type="button" id="ask-no" class="quiet" autofocus={!q.input} onclick={() => answer(null)}>Cancel</button>
					<button type="submit" id="ask-yes" class={`primary${q.danger ? " danger" : ""}`}>{q.yes}</button>
				</div>
			</form>
		</Dialog>
	);
}
