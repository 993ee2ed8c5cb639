// Questions and short notes to the person in front of the page.

import { $, h, setText } from "./dom.js";

let settle = null;

function close(answer) {
	const resolve = settle;
	settle = null;
	if ($("ask-dialog").open)
		$("ask-dialog").close();
	resolve?.(answer);
}

function open(title, text, yes, danger, wantsInput) {
	close(null);
	setText($("ask-title"), title);
	setText($("ask-text"), text);
	setText($("ask-yes"), yes);
	$("ask-yes").classList.toggle("danger", danger);
	$("ask-label").hidden = !wantsInput;
	$("ask-input").value = "";
	$("ask-dialog").showModal();
	(wantsInput ? $("ask-input") : $("ask-no")).focus();
	return new Promise((resolve) => { settle = resolve; });
}

/** true or false */
export const confirmed = async (title, text, yes) => (await open(title, text, yes, true, false)) !== null;

/** The token, or null. */
export const askToken = (text) => open("API token", text, "Use token", false, true);

/** A note that goes by itself; kind "ok" or "error". */
export function toast(text, kind = "ok") {
	const node = h("p", { class: "toast", "data-kind": kind }, text);
	$("toasts").append(node);
	setTimeout(() => node.remove(), kind === "error" ? 9000 : 5000);
}

export function start() {
	$("ask-no").addEventListener("click", () => close(null));
	$("ask-dialog").addEventListener("close", () => close(null));
	$("ask-form").addEventListener("submit", (event) => {
		event.preventDefault();
		close($("ask-input").value.trim());
	});
}
