// The records, unpacked, and the libraries, loaded when they are first needed.

/** The text of a packed block: base64 of gzip. */
async function unpack(name) {
  const binary = atob(JSON.parse(document.getElementById(`packed-${name}`).textContent));
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < binary.length; at += 1) bytes[at] = binary.charCodeAt(at);
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}

const loading = new Map();

/** Run a library's code, once. The page's policy lets exactly this text run. */
function load(name) {
  if (!loading.has(name)) loading.set(name, run(name));
  return loading.get(name);
}

async function run(name) {
  const text = await unpack(name);
  if (document.getElementById(`packed-${name}-style`)) {
    document.getElementById("library-style").textContent += await unpack(`${name}-style`);
  }
  const script = document.createElement("script");
  const about = JSON.parse(document.getElementById("about").textContent);
  if (!about.modules.includes(name)) {
    script.textContent = text;
    document.head.append(script);
    return;
  }
  script.type = "module";
  script.textContent = text;
  await new Promise((done) => {
    addEventListener("library", done, { once: true });
    document.head.append(script);
  });
}

/** Rows kept by column: numbers as they are, texts by their place among the different ones. */
class Columns {
  constructor(raw) {
    this.raw = raw;
    const first = Object.values(raw)[0];
    this.length = first === undefined ? 0 : Array.isArray(first) ? first.length : first.index.length;
  }

  get(key, row) {
    const column = this.raw[key];
    return Array.isArray(column) ? column[row] : column.values[column.index[row]];
  }

  /** The different texts of a column, sorted. */
  values(key) {
    return this.raw[key] ? this.raw[key].values.filter(Boolean).toSorted(compareTexts) : [];
  }

  rows() {
    return Array.from({ length: this.length }, (_, row) => row);
  }

  /** Of a column, a test of rows by a test of texts: each different text is tested once. */
  test(key, holds) {
    const { values, index } = this.raw[key];
    const kept = values.map(holds);
    return (row) => kept[index[row]];
  }

  one(row) {
    return Object.fromEntries(Object.keys(this.raw).map((key) => [key, this.get(key, row)]));
  }
}

const collator = new Intl.Collator("en", { numeric: true });
const compareTexts = (a, b) => collator.compare(a, b);

/** The infinite headroom of an exact result stands as -1. */
const EXACT = -1;
const idOf = (check) => `${check.case}@${check.recipe}@${check.unit}`;

let data;
let checks;
const operators = new Map();
const causes = new Map();
const outcomes = new Map();

async function readData() {
  data = JSON.parse(await unpack("data"));
  checks = new Columns(data.checks);
  data.headroom = new Columns(data.headroom);
  if (data.changes) data.changes.rows = new Columns(data.changes.rows);
  for (const one of data.operators) {
    one.searched = [one.name, ...one.apis, ...one.mil, ...one.becomes].join(" ").toLowerCase();
    operators.set(one.name, one);
  }
  for (const one of data.causes) causes.set(one.slug, one);
  for (const one of data.outcomes) outcomes.set(one.name, one);
}
