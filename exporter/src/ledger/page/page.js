const body = document.querySelector("tbody");
const rows = [...body.rows];
document.querySelector("input").addEventListener("input", (event) => {
  const wanted = event.target.value.toLowerCase();
  for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
});
// A column first ascends, worst first, then descends, then is as it was computed.
let sorted = { column: -1, way: 0 };
document.querySelectorAll("thead th").forEach((head, column) => {
  head.querySelector("button").addEventListener("click", () => {
    sorted = { column, way: sorted.column === column ? (sorted.way + 1) % 3 : 0 };
    const key = (row) => row.cells[column].dataset.key ?? "";
    const order = (a, b) =>
      column === 0 ? key(a).localeCompare(key(b)) : (key(a) === "") - (key(b) === "") || key(a) - key(b);
    const next = sorted.way === 2 ? rows : [...rows].sort((a, b) => (sorted.way ? -1 : 1) * order(a, b));
    body.append(...next);
    document.querySelectorAll("thead th").forEach((other) => other.removeAttribute("aria-sort"));
    if (sorted.way < 2) head.setAttribute("aria-sort", sorted.way ? "descending" : "ascending");
  });
});
