// The search field and the filters, and what they let through.

/** Filters by name: what is chosen from, and the views that have it. */
const FILTERS = [
  { name: "category", label: "Category", views: ["operators", "checks"], values: () => data.categories.map((c) => c.name) },
  { name: "outcome", label: "Outcome", views: ["operators", "checks", "models", "compare"], values: () => present("outcome") },
  { name: "dtype", label: "Dtype", views: ["operators", "checks"], values: () => checks.values("dtype") },
  { name: "recipe", label: "Recipe", views: ["operators", "checks", "models", "headroom"], values: () => checks.values("recipe") },
  { name: "unit", label: "Unit", views: ["operators", "checks", "models", "headroom"], values: () => checks.values("unit") },
  { name: "cause", label: "Cause", views: ["operators", "checks", "models"], values: () => checks.values("cause") },
  { name: "environment", label: "Environment", views: ["operators", "checks", "models", "compare"], values: () => data.environments.map((e) => e.id) },
  { name: "move", label: "What changed", views: ["compare"], values: () => Object.keys(data.changes?.counts ?? {}) },
  { name: "heading", label: "Kind", views: ["findings"], values: () => [...new Set(data.causes.map((c) => c.heading))] },
];
const SWITCHES = [
  { name: "silent", label: "Silent only", title: "Runs, and the answer is wrong", views: ["operators", "checks", "findings"] },
  { name: "models", label: "What models use", title: "Operators in measured models", views: ["operators", "checks", "findings"] },
];
const SEARCHED = ["operators", "checks", "findings", "models", "headroom", "compare"];

/** Outcomes that occur, best first. */
const present = (key) => data.outcomes.map((one) => one.name).filter((name) => checks.raw[key].values.includes(name));

function drawFilters(view, filters) {
  const form = document.getElementById("filters");
  form.hidden = !SEARCHED.includes(view);
  if (form.dataset.view !== view) {
    form.dataset.view = view;
    form.replaceChildren(...controls(view));
  }
  for (const control of form.querySelectorAll("[name]")) {
    const value = filters[control.name] ?? "";
    if (control.type === "checkbox") control.checked = Boolean(value);
    else {
      if (control.tagName === "SELECT" && value && ![...control.options].some((option) => option.value === value)) {
        control.append(node("option", { value }, `${value} (not in these records)`));
      }
      if (control !== document.activeElement || control.value !== value) control.value = value;
      control.classList.toggle("set", Boolean(value));
    }
  }
}

function controls(view) {
  const selects = FILTERS.filter((one) => one.views.includes(view))
    .map((one) => ({ ...one, choices: one.values() }))
    .filter((one) => one.choices.length > 1 || one.name !== "environment");
  return [
    node("label", { class: "wide" }, "Search ", node("input", {
      type: "search", name: "q", placeholder: "torch, ATen or MIL name", title: "Press / to come here",
      autocomplete: "off", spellcheck: "false", oninput: changed,
    })),
    ...selects.map((one) => node("label", {}, `${one.label} `, node("select", { name: one.name, onchange: changed },
      node("option", { value: "" }, "any"), ...one.choices.map((choice) => node("option", { value: choice }, choice))))),
    ...SWITCHES.filter((one) => one.views.includes(view)).map((one) => node("label", { title: one.title, class: "switch" },
      node("input", { type: "checkbox", name: one.name, onchange: changed }), ` ${one.label}`)),
    node("button", { type: "button", id: "reset", onclick: () => refilter({}) }, "Reset"),
  ];
}

function changed() {
  const filters = {};
  for (const control of document.getElementById("filters").querySelectorAll("[name]")) {
    filters[control.name] = control.type === "checkbox" ? (control.checked ? "1" : "") : control.value;
  }
  refilter(filters);
}

/** Names are searched for as they are written in code: `torch.nn.functional.gelu`, `F.gelu`, `aten::gelu`. */
const words = (filters) => (filters.q ?? "").toLowerCase().replaceAll("::", ".").split(/\s+/)
  .map((word) => word.replace(/^(torch\.ops|torch|f|mb)\./, "")).filter(Boolean);
const holdsAll = (text, wanted) => wanted.every((word) => text.includes(word));

/** Tests that a check has to pass, by the filters that are about checks. */
function checkTests(filters) {
  const tests = ["outcome", "dtype", "recipe", "unit", "cause", "environment"]
    .filter((key) => filters[key])
    .map((key) => checks.test(key, (text) => text === filters[key]));
  return tests;
}

function filteredChecks(filters) {
  const tests = checkTests(filters);
  if (filters.silent) tests.push(checks.test("outcome", (name) => outcomes.get(name).silent));
  if (filters.category) tests.push(checks.test("op", (name) => operators.get(name)?.category === filters.category));
  if (filters.models) {
    const used = checks.test("op", (name) => (operators.get(name)?.models ?? 0) > 0);
    const isModel = checks.test("kind", (kind) => kind === "model");
    tests.push((row) => used(row) || isModel(row));
  }
  for (const word of words(filters)) {
    const any = ["op", "api", "mil", "case", "call", "cause"].map((key) =>
      checks.test(key, (text) => text.toLowerCase().includes(word)));
    tests.push((row) => any.some((test) => test(row)));
  }
  return checks.rows().filter((row) => tests.every((test) => test(row)));
}

/** Operators that the filters let through: those about checks, when a check of the operator passes them all. */
function filteredOperators(filters) {
  const tests = checkTests(filters);
  let touched = null;
  if (tests.length) {
    const { values, index } = checks.raw.op;
    const seen = new Uint8Array(values.length);
    for (const row of checks.rows()) if (!seen[index[row]] && tests.every((test) => test(row))) seen[index[row]] = 1;
    touched = new Set(values.filter((_, at) => seen[at]));
  }
  const wanted = words(filters);
  return data.operators.filter((one) =>
    (!filters.category || one.category === filters.category) &&
    (!filters.silent || one.silent) && (!filters.models || one.models > 0) &&
    (touched === null || touched.has(one.name)) && holdsAll(one.searched, wanted));
}
