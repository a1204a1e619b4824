// Tables by DataTables, which asks for a page at a time: only what is seen is ever made.

const PAGE = 50;
const open = [];

/** DataTables keeps what it made until it is told to let go. */
function closeTables() {
  for (const one of open.splice(0)) one.destroy();
}

/** Put a table into `host`. A column has `title`, `value(row)` to sort by, and `cell(row)` where more is shown. */
async function table(host, label, rows, columns, { order = null, page = PAGE } = {}) {
  if (!rows.length) {
    host.append(node("p", { class: "empty" }, "Nothing fits these filters."));
    return;
  }
  await load("tables");
  const element = node("table", { class: "display compact", "aria-label": label });
  host.append(element);
  const shown = { rows, by: "" };
  open.push(new DataTable(element, {
    serverSide: true,
    processing: false,
    searching: false,
    autoWidth: false,
    order: order ? [order] : [],
    pageLength: page,
    lengthMenu: [25, 50, 100, 500],
    layout: { topStart: null, topEnd: null, bottomStart: "info", bottomEnd: rows.length > 25 ? ["pageLength", "paging"] : null },
    language: { lengthMenu: "_MENU_ a page", info: "_START_ to _END_ of _TOTAL_" },
    columns: columns.map((column) => ({
      title: column.title,
      className: column.class ?? "",
      data: null,
      orderable: column.value !== undefined,
      render: (row) => cellOf(column, row),
    })),
    ajax: (request, done) => {
      const { column, dir } = request.order[0] ?? {};
      if (column === undefined) shown.rows = rows;
      else if (shown.by !== `${column} ${dir}`) shown.rows = sorted(rows, columns[column].value, dir === "desc");
      shown.by = `${column} ${dir}`;
      const end = request.length < 0 ? undefined : request.start + request.length;
      done({
        draw: request.draw, recordsTotal: rows.length, recordsFiltered: rows.length,
        data: shown.rows.slice(request.start, end),
      });
    },
  }));
}

/** Always an element: a text would be taken for markup. */
function cellOf(column, row) {
  const shown = (column.cell ?? column.value)(row);
  return node("span", {}, ...[shown].flat().map((one) => (typeof one === "number" ? one.toLocaleString("en") : one)));
}

/** Nothing comes last, whichever way. */
function sorted(rows, value, down) {
  const keyed = rows.map((row) => [value(row), row]);
  const lacks = (key) => key === null || key === undefined || key === "";
  const sign = down ? -1 : 1;
  keyed.sort(([a], [b]) => {
    if (lacks(a) || lacks(b)) return lacks(a) - lacks(b);
    return sign * (typeof a === "number" ? a - b : compareTexts(a, b));
  });
  return keyed.map(([, row]) => row);
}

/** Headroom to sort by: an exact result is farthest from its bound. */
const headroomValue = (value) => (value === EXACT ? Infinity : value);
