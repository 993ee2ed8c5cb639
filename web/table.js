// A table whose rows live on: an update changes the cells that changed and moves the rows that moved. Selection, scroll and focus stay.

import { $, arrange, h, setAttr, setText } from "./dom.js";

/*
 * columns: {id, label, title, sort (field or undefined), number (right-aligned), hide ("narrow", "medium"), short (label in the narrow layout), text(row), paint(td, row)}
 * options: columns, key(row), sort, order, onsort(), onselect(key, row)
 */
export class Table {
	constructor(table, options) {
		Object.assign(this, { sort: null, order: "desc", onselect: null, onsort: null }, options);
		this.rows = new Map(); // key -> {tr, cells, row}
		this.selected = null;
		this.hovered = false;
		this.heads = this.columns.map((column) => this.head(column));
		this.body = h("tbody", { role: "rowgroup" });
		/* Roles are written out because the narrow layout takes the table's display values away, and with them its meaning. */
		setAttr(table, "role", "table");
		table.append(h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, this.heads.map((head) => head.th))), this.body);
		this.body.addEventListener("pointerenter", () => { this.hovered = true; });
		this.body.addEventListener("pointerleave", () => { this.hovered = false; });
		this.body.addEventListener("click", (event) => this.onclick(event));
		this.body.addEventListener("keydown", (event) => this.onkey(event));
		this.showSort();
	}

	head(column) {
		const classes = this.classes(column);
		if (!column.sort)
			return { column, th: h("th", { scope: "col", role: "columnheader", class: classes, title: column.title }, column.label) };
		const button = h("button", { type: "button", title: column.title, onclick: () => this.sortBy(column) }, column.label);
		return { column, th: h("th", { scope: "col", role: "columnheader", class: classes }, button) };
	}

	classes(column) {
		return [column.id, column.number && "number", column.hide && `hide-${column.hide}`].filter(Boolean).join(" ");
	}

	sortBy(column) {
		if (this.sort === column.sort)
			this.order = this.order === "desc" ? "asc" : "desc";
		else
			[this.sort, this.order] = [column.sort, column.number ? "desc" : "asc"];
		this.showSort();
		this.hovered = false;
		this.onsort?.();
	}

	showSort() {
		for (const { column, th } of this.heads) {
			const state = column.sort && column.sort === this.sort ? (this.order === "asc" ? "ascending" : "descending") : null;
			setAttr(th, "aria-sort", state ?? (column.sort ? "none" : null));
		}
	}

	make(key) {
		const cells = this.columns.map((column) => h("td", { role: "cell", class: this.classes(column), "data-label": column.number && (column.short ?? column.label) }));
		const tr = h("tr", { role: "row", tabindex: this.onselect ? "-1" : null, "data-key": key }, cells);
		return { tr, cells, row: null };
	}

	/** While the pointer is over the table its rows keep their places: nothing jumps away from under a click. */
	ordered(keys) {
		if (!this.hovered)
			return keys;
		const now = new Set(keys);
		const stay = [...this.body.children].map((tr) => tr.dataset.key).filter((key) => now.has(key));
		const known = new Set(stay);
		return [...stay, ...keys.filter((key) => !known.has(key))];
	}

	update(list) {
		const byKey = new Map(list.map((row) => [String(this.key(row)), row]));
		for (const [key, row] of byKey) {
			let entry = this.rows.get(key);
			if (!entry)
				this.rows.set(key, entry = this.make(key));
			entry.row = row;
			this.columns.forEach((column, i) => {
				if (column.text)
					setText(entry.cells[i], column.text(row));
				column.paint?.(entry.cells[i], row);
			});
			this.paintRow?.(entry.tr, row);
		}
		for (const key of [...this.rows.keys()]) {
			if (!byKey.has(key))
				this.rows.delete(key);
		}
		arrange(this.body, this.ordered([...byKey.keys()]).map((key) => this.rows.get(key).tr));
		this.reachable();
	}

	/** One row can be reached with Tab: the focused, the selected, or the first. */
	reachable() {
		if (!this.onselect)
			return;
		const active = document.activeElement?.closest?.("tr");
		const target = (active && active.parentNode === this.body && active) || this.rows.get(this.selected)?.tr || this.body.firstElementChild;
		for (const tr of this.body.children)
			setAttr(tr, "tabindex", tr === target ? "0" : "-1");
	}

	select(key) {
		this.rows.get(this.selected)?.tr.removeAttribute("aria-current");
		this.selected = key;
		this.rows.get(key)?.tr.setAttribute("aria-current", "true");
	}

	choose(tr) {
		if (!this.onselect || !tr)
			return;
		const key = tr.dataset.key;
		this.select(key);
		this.onselect(key, this.rows.get(key).row);
	}

	onclick(event) {
		if (event.target.closest("button, input, a, label") || String(getSelection()))
			return;
		this.choose(event.target.closest("tr"));
	}

	onkey(event) {
		const tr = event.target.closest("tr");
		if (!tr || event.target !== tr)
			return;
		const next = { ArrowDown: tr.nextElementSibling, ArrowUp: tr.previousElementSibling,
			Home: this.body.firstElementChild, End: this.body.lastElementChild }[event.key];
		if (next) {
			next.focus();
			this.reachable();
		} else if (event.key === "Enter" || event.key === " ") {
			this.choose(tr);
		} else {
			return;
		}
		event.preventDefault();
	}
}

/** Says in place of rows why there are none; "" = there are. */
export function setEmpty(id, text) {
	setText($(id), text);
	$(id).hidden = !text;
}
