// Elements, built without ever reading text as HTML: what comes from packets or people goes in through textContent alone.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, props, children) {
	for (const [name, value] of Object.entries(props)) {
		if (value === undefined || value === null || value === false)
			continue;
		if (name.startsWith("on"))
			node.addEventListener(name.slice(2), value);
		else if (name === "text")
			node.textContent = value;
		else
			node.setAttribute(name, value === true ? "" : value);
	}
	node.append(...children.flat().filter((child) => child !== null && child !== undefined));
	return node;
}

/** h("td", {class: "number", onclick: f}, "text", child …) */
export function h(tag, props = {}, ...children) {
	return fill(document.createElement(tag), props, children);
}

export function svg(tag, props = {}, ...children) {
	return fill(document.createElementNS(SVG, tag), props, children);
}

export const $ = (id) => document.getElementById(id);

/** Writes only what changed, so that a selection, a focus ring or a screen reader is not disturbed. */
export function setText(node, text) {
	if (node.textContent !== text)
		node.textContent = text;
}

export function setAttr(node, name, value) {
	if (value === null || value === undefined || value === false)
		node.removeAttribute(name);
	else if (node.getAttribute(name) !== String(value))
		node.setAttribute(name, value);
}

/** Puts `wanted` into `parent` in that order, moving as few nodes as it takes. */
export function arrange(parent, wanted) {
	const keep = new Set(wanted);
	for (const child of [...parent.children]) {
		if (!keep.has(child))
			child.remove();
	}
	let at = parent.firstElementChild;
	for (const node of wanted) {
		if (node === at)
			at = at.nextElementSibling;
		else
			parent.insertBefore(node, at);
	}
}
