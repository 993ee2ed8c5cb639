// Short notes that go by themselves.

import { signal } from "@preact/signals";

const notes = signal([]);
let next = 1;

/** kind: "ok" or "error". */
export function toast(text, kind = "ok") {
	if (notes.value.some((note) => note.text === text))
		return;
	const id = next++;
	notes.value = [...notes.value.slice(-3), { id, text, kind }];
	setTimeout(() => { notes.value = notes.value.filter((note) => note.id !== id); }, kind === "error" ? 9000 : 5000);
}

export function Toasts() {
	return <div class="toasts" id="toasts" role="status">{notes.value.map(({ id, text, kind }) => <p key={id} class="toast" data-kind={kind}>{text}</p>)}</div>;
}
