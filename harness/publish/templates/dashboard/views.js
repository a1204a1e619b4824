// The views of many: operators, checks, findings, models, headroom, what changed, and what this is.

const CHECK_COLUMNS = [
  { title: "Check", value: (row) => checks.get("case", row), cell: (row) => checkLink(idOf(checks.one(row)), breakable(checks.get("case", row))), class: "long" },
  { title: "Call", value: (row) => checks.get("call", row), cell: (row) => code(checks.get("call", row)), class: "long" },
  { title: "Recipe", value: (row) => checks.get("recipe", row) },
  { title: "Unit", value: (row) => checks.get("unit", row) },
  { title: "Outcome", value: (row) => checks.get("outcome", row), cell: (row) => outcomeBadge(checks.get("outcome", row)) },
  { title: "Headroom", value: (row) => headroomValue(checks.get("headroom", row)), cell: (row) => headroomText(checks.get("headroom", row)), class: "number" },
  { title: "Cause", value: (row) => checks.get("cause", row), cell: (row) => causeLink(checks.get("cause", row)) },
];
const CALL_COLUMNS = [
  { title: "Call", value: (row) => checks.get("call", row) || checks.get("case", row), cell: (row) => checkLink(idOf(checks.one(row)), code(checks.get("call", row) || checks.get("case", row))), class: "long" },
  { title: "Dtype", value: (row) => checks.get("dtype", row) },
  ...CHECK_COLUMNS.slice(2, 5),
  { title: "Error", value: (row) => checks.get("worst", row), cell: (row) => (checks.get("worst", row) === EXACT ? "infinite" : short(checks.get("worst", row))), class: "number" },
  { title: "Bound", value: (row) => checks.get("limit", row), cell: (row) => short(checks.get("limit", row)), class: "number" },
  ...CHECK_COLUMNS.slice(5),
];

const hardware = () => data.units.filter((unit) => unit.hardware);

/** What was found on Core ML's own units, the worst first; "not measured" until a Mac has run. */
function onHardware() {
  const rank = new Map(data.outcomes.map((one, at) => [one.name, at]));
  const worst = new Map();
  const isHardware = checks.test("unit", (unit) => hardware().some((one) => one.name === kindOf(unit)));
  for (const row of checks.rows()) {
    const outcome = checks.get("outcome", row);
    if (!isHardware(row) || !outcomes.get(outcome).judged) continue;
    const op = checks.get("op", row);
    if (!worst.has(op) || rank.get(outcome) > rank.get(worst.get(op))) worst.set(op, outcome);
  }
  return worst;
}

async function showOperators(main, filters) {
  const found = filteredOperators(filters);
  const counts = new Map(data.categories.map((one) => [one.name, 0]));
  for (const one of found) counts.set(one.category, counts.get(one.category) + 1);
  const measured = onHardware();
  main.append(
    node("h2", {}, `Operators (${found.length})`),
    node("ul", { class: "chips", "aria-label": "By category" }, ...data.categories.filter((one) => counts.get(one.name)).map((one) =>
      node("li", {}, node("a", { href: addressOf("operators", "", { ...filters, category: filters.category === one.name ? "" : one.name }), title: one.meaning.replaceAll("`", "") },
        categoryBadge(one.name), ` ${counts.get(one.name)}`)))),
    generalLimits(),
  );
  say(counted(found.length, "operator"));
  await table(main, "Operators", found, [
    { title: "Operator", value: (one) => one.name, cell: (one) => operatorLink(one.name), class: "name" },
    { title: "torch", value: (one) => one.apis.join(", "), cell: (one) => breakable(one.apis.join(", ")), class: "names" },
    { title: "MIL", value: (one) => one.mil.join(", "), cell: (one) => breakable(few(withoutCasts(one.mil))), class: "names" },
    { title: "Category", value: (one) => data.categories.findIndex((c) => c.name === one.category), cell: (one) => categoryBadge(one.category, { inShort: true }) },
    { title: "Conditions", cell: conditionsInShort, class: "wide" },
    { title: "Working calls", value: (one) => (one.tried ? one.works / one.tried : null), cell: (one) => `${one.works} of ${one.tried}`, class: "number" },
    { title: "In models", value: (one) => one.models, cell: (one) => (one.models ? `${one.models_work} of ${one.models} work` : ""), class: "number" },
    { title: "On Core ML", value: (one) => measured.get(one.name) ?? "", cell: (one) => (measured.has(one.name) ? outcomeBadge(measured.get(one.name)) : node("span", { class: "off" }, "not measured")) },
  ]);
}

const few = (names, most = 4) => names.slice(0, most).join(", ") + (names.length > most ? ` and ${names.length - most} more` : "");

/** Casts stand at the ends of every program in fp16. */
const withoutCasts = (names) => (names.length > 1 ? names.filter((name) => name !== "cast") : names);

function conditionsInShort(one) {
  const parts = one.conditions.slice(0, 3).map((condition) => node("span", {},
    node("span", { class: condition.silent ? "bad-text" : "" }, condition.fate), whereTold(condition), ": ", prose(condition.clause)));
  if (one.conditions.length > 3) parts.push(`and ${one.conditions.length - 3} more`);
  return between(parts, "; ");
}

function generalLimits() {
  if (!data.limits.length) return "";
  return node("details", {}, node("summary", {}, "General limits: what fails whatever the operator"),
    node("ul", {}, ...data.limits.map((limit) => node("li", {}, prose(limit.condition), ": ", prose(limit.remedy), " ", node("span", { class: "small" }, "(", causeLink(limit.cause), `, ${counted(limit.operators, "operator")})`)))));
}

async function showChecks(main, filters) {
  const rows = filteredChecks(filters);
  const counts = new Map();
  for (const row of rows) counts.set(checks.get("outcome", row), (counts.get(checks.get("outcome", row)) ?? 0) + 1);
  main.append(node("h2", {}, `Checks (${rows.length.toLocaleString("en")})`),
    node("ul", { class: "chips", "aria-label": "By outcome" }, ...data.outcomes.filter((one) => counts.has(one.name)).map((one) =>
      node("li", {}, node("a", { href: addressOf("checks", "", { ...filters, outcome: filters.outcome === one.name ? "" : one.name }) }, outcomeBadge(one.name), ` ${counts.get(one.name).toLocaleString("en")}`)))));
  say(counted(rows.length, "check"));
  await table(main, "Checks", rows, CHECK_COLUMNS);
}

async function showFindings(main, filters) {
  const wanted = words(filters);
  const isSilent = (one) => Object.keys(one.outcomes).some((name) => outcomes.get(name).silent);
  const found = data.causes.map((one, at) => ({ ...one, place: at + 1 })).filter((one) =>
    (!filters.heading || one.heading === filters.heading) && (!filters.silent || isSilent(one)) &&
    (!filters.models || one.models.length > 0 || one.calls > 0) &&
    holdsAll([one.slug, one.title, one.sees, one.condition, ...one.operators].join(" ").toLowerCase(), wanted));
  const used = data.causes.some((one) => one.models.length || one.calls);
  main.append(node("h2", {}, `Findings (${found.length})`),
    node("p", {}, used ? "Those that strike most models first, then most calls that models make, then most checks." : "Those with most checks first: none of them strikes a measured model, or a call taken from one."));
  say(counted(found.length, "finding"));
  await table(main, "Findings", found, [
    { title: "Priority", value: (one) => one.place, class: "number" },
    { title: "Cause", value: (one) => one.slug, cell: (one) => link(addressOf("finding", one.slug), prose(one.title)), class: "wide" },
    { title: "Kind", value: (one) => one.heading },
    { title: "Models", value: (one) => one.models.length, class: "number", cell: (one) => one.models.length || "" },
    { title: "Calls of models", value: (one) => one.calls, class: "number", cell: (one) => one.calls || "" },
    { title: "Checks", value: (one) => one.checks, class: "number" },
    { title: "Operators", value: (one) => one.operators.length, class: "number" },
    { title: "Upstream", value: (one) => one.state || (one.url ? "reported" : ""), cell: (one) => (one.url ? [outside(one.url), one.state ? ` (${one.state})` : ""] : node("span", { class: "off" }, "not reported")) },
  ]);
}

async function showModels(main, filters) {
  const tests = checkTests(filters);
  const wanted = words(filters);
  const isProgram = checks.test("program", Boolean);
  const rows = checks.rows().filter((row) => isProgram(row) && tests.every((test) => test(row)) &&
    holdsAll(`${checks.get("case", row)} ${checks.get("delegated", row)} ${checks.get("left", row)} ${checks.get("mil", row)}`.toLowerCase(), wanted));
  // Models before the programs that are made to try something.
  const first = (row) => (checks.get("kind", row) === "model" ? 0 : 1);
  rows.sort((a, b) => first(a) - first(b));
  main.append(node("h2", {}, `Models and other whole programs (${rows.length})`));
  say(counted(rows.length, "check"));
  await table(main, "Models", rows, [
    { title: "Name", value: (row) => checks.get("subject", row), cell: (row) => checkLink(idOf(checks.one(row)), checks.get("subject", row)), class: "name" },
    { title: "Kind", value: (row) => checks.get("family", row) || checks.get("kind", row) },
    { title: "Case", value: (row) => checks.get("case", row).split("/").at(-1) },
    ...CHECK_COLUMNS.slice(2, 5),
    ...["percent", "flops"].map((key) => ({
      title: key === "percent" ? "Nodes delegated" : "FLOPs delegated", class: "number",
      value: (row) => checks.get(key, row), cell: (row) => (checks.get(key, row) === null ? "" : `${checks.get(key, row)} %`),
    })),
    { title: "Delegates", value: (row) => checks.get("delegates", row), class: "number" },
    { title: "Islands", value: (row) => checks.get("islands", row), class: "number" },
    { title: "SQNR, dB", value: (row) => headroomValue(checks.get("sqnr", row)), cell: (row) => (checks.get("sqnr", row) === EXACT ? "exact" : short(checks.get("sqnr", row))), class: "number" },
    { title: "Size, kB", value: (row) => checks.get("size", row), cell: (row) => (checks.get("size", row) === null ? "" : Math.round(checks.get("size", row) / 1000).toLocaleString("en")), class: "number" },
    ...CHECK_COLUMNS.slice(5),
  ]);
}

async function showHeadroom(main, filters) {
  const all = data.headroom;
  const wanted = words(filters);
  const rows = all.rows().filter((row) => (!filters.recipe || all.get("recipe", row) === filters.recipe) &&
    (!filters.unit || all.get("unit", row) === filters.unit) && holdsAll(all.get("operator", row).toLowerCase(), wanted));
  main.append(node("h2", {}, `Headroom (${counted(rows.length, "row")})`),
    node("p", {}, "How many times the worst error of an operator's checks fits into its bound, by recipe and class of bound. Below 1 it is outside."));
  say(counted(rows.length, "row"));
  const plot = node("div");
  main.append(plot);
  await table(main, "Headroom", rows, [
    { title: "Operator", value: (row) => all.get("operator", row), cell: (row) => operatorLink(all.get("operator", row)), class: "name" },
    { title: "Recipe", value: (row) => all.get("recipe", row) },
    { title: "Unit", value: (row) => all.get("unit", row) },
    { title: "Class", value: (row) => all.get("bound", row) },
    { title: "Checks", value: (row) => all.get("checks", row), class: "number" },
    { title: "Smallest", value: (row) => headroomValue(all.get("smallest", row)), cell: (row) => headroomText(all.get("smallest", row)), class: "number" },
    { title: "Median", value: (row) => headroomValue(all.get("median", row)), cell: (row) => headroomText(all.get("median", row)), class: "number" },
    { title: "", value: (row) => all.get("flag", row) },
    { title: "Nearest to its bound", value: (row) => all.get("check", row), cell: (row) => checkLink(all.get("check", row), breakable(all.get("check", row))), class: "long" },
  ]);
  await plotHeadroom(plot, rows.map((row) => all.get("smallest", row)));
}

async function showCompare(main, filters) {
  main.append(node("h2", {}, "What changed"));
  const changes = data.changes;
  if (!changes) {
    main.append(node("p", { class: "empty" }, "One run is shown. ", code("coreml-harness dashboard NEW --against OLD"), " puts two side by side."));
    return;
  }
  const all = changes.rows;
  const wanted = words(filters);
  const rows = all.rows().filter((row) => (!filters.move || all.get("move", row) === filters.move) &&
    (!filters.environment || all.get("environment", row) === filters.environment) &&
    (!filters.outcome || all.get("after", row) === filters.outcome) && holdsAll(all.get("check", row).toLowerCase(), wanted));
  main.append(
    node("ul", {}, ...changes.pairs.map((pair) => node("li", {}, code(pair.before), pair.before === pair.after ? " measured again" : [" is now ", code(pair.after)]))),
    node("ul", { class: "chips", "aria-label": "By what changed" }, ...Object.entries(changes.counts).map(([move, many]) =>
      node("li", {}, node("a", { href: addressOf("compare", "", { ...filters, move: filters.move === move ? "" : move }) }, node("span", { class: `badge ${{ worse: "bad", better: "good" }[move] ?? "off"}` }, move), ` ${many}`)))),
    node("p", {}, `${counted(changes.same, "check")} unchanged.`));
  say(counted(rows.length, "change"));
  const side = (when) => (row) => [outcomes.has(all.get(when, row)) ? outcomeBadge(all.get(when, row)) : all.get(when, row), " ", node("span", { class: "small" }, all.get(`wrong_${when}`, row))];
  await table(main, "What changed", rows, [
    { title: "What", value: (row) => all.get("move", row) },
    { title: "Operator", value: (row) => all.get("operator", row), cell: (row) => operatorLink(all.get("operator", row)), class: "name" },
    { title: "Check", value: (row) => all.get("check", row), cell: (row) => checkLink(all.get("check", row), breakable(all.get("check", row))), class: "long" },
    { title: "Before", value: (row) => all.get("before", row), cell: side("before") },
    { title: "After", value: (row) => all.get("after", row), cell: side("after") },
    { title: "Headroom before", value: (row) => headroomValue(all.get("headroom_before", row)), cell: (row) => headroomText(all.get("headroom_before", row)), class: "number" },
    { title: "after", value: (row) => headroomValue(all.get("headroom_after", row)), cell: (row) => headroomText(all.get("headroom_after", row)), class: "number" },
  ]);
}

function showAbout(main) {
  main.append(
    node("h2", {}, "About these records"),
    section("Environments", node("ul", {}, ...data.environments.map((one) => node("li", {}, code(one.id), `: ${one.text}`))),
      data.ignored ? node("p", {}, `${counted(data.ignored, "record")} of a simulated host are left out.`) : ""),
    section("Units", unitTable(checks.rows())),
    section("Categories", facts(data.categories.map((one) => [categoryBadge(one.name), prose(one.meaning)]))),
    section("Outcomes", facts(data.outcomes.map((one) => [outcomeBadge(one.name), one.meaning]))),
    section("Keys", facts([
      [node("kbd", {}, "/"), "to the search"], [node("kbd", {}, "1"), "to 7: the views"], [node("kbd", {}, "d"), "dark or light"],
      [node("kbd", {}, "Esc"), "out of the search"],
    ])));
}
