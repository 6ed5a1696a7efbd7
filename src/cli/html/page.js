// Searches and sorts what the page has without it.
"use strict";
const tables = [...document.querySelectorAll("table")].map((table) => ({
  table,
  body: table.tBodies[0],
  rows: [...table.tBodies[0].rows],
}));
const form = document.getElementById("find");
const words = document.getElementById("words");
const found = document.getElementById("found");
const say = (text) => { found.textContent = text; };

const search = () => {
  const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  let all = 0;
  for (const { rows } of tables) {
    for (const row of rows) {
      row.text ??= row.textContent.toLowerCase();
      row.hidden = !wanted.every((word) => row.text.includes(word));
      shown += row.hidden ? 0 : 1;
    }
    all += rows.length;
  }
  say(wanted.length ? `${shown} of ${all} rows` : "");
};
let typing;
words.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(search, 120); });
form.addEventListener("submit", (event) => { event.preventDefault(); search(); });
form.hidden = tables.length === 0;

// The words that have an order of their own.
const ranks = ["critical", "high", "medium", "low"];
const { compare } = new Intl.Collator("en", { numeric: true });
const value = (row, column) => {
  const text = row.cells[column].textContent;
  const rank = ranks.indexOf(text);
  return rank < 0 ? text : String(rank);
};
const sort = ({ table, body, rows }, column, head) => {
  const next = { none: "ascending", ascending: "descending", descending: "none" };
  const order = next[head.ariaSort ?? "none"];
  for (const other of table.tHead.rows[0].cells) other.ariaSort = null;
  head.ariaSort = order === "none" ? null : order;
  const sorted = [...rows];
  if (order !== "none") {
    const sign = order === "ascending" ? 1 : -1;
    const keyed = sorted.map((row) => [value(row, column), row]);
    keyed.sort(([a], [b]) => sign * compare(a, b));
    keyed.forEach(([, row], index) => { sorted[index] = row; });
  }
  body.append(...sorted);
  const by = head.textContent;
  say(order === "none" ? "In the order of the report" : `Sorted by ${by}, ${order}`);
};
for (const it of tables) {
  [...it.table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(it, column, head));
    head.append(button);
  });
}

// Paper has no disclosure to open.
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});
