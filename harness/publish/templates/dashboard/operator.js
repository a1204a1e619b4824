// One operator: what works, under which conditions, the calls that were tried, and what to do.

async function showOperator(main, name) {
  const one = operators.get(name);
  if (!one) {
    main.append(node("h2", {}, name), node("p", { class: "empty" }, "No operator of this name is among these records."));
    return;
  }
  const isOwn = checks.test("op", (op) => op === name);
  const own = checks.rows().filter((row) => isOwn(row) && checks.get("program", row) === "");
  main.append(
    node("h2", {}, name),
    node("p", { class: "lead" }, categoryBadge(one.category), ` ${one.works} of ${counted(one.tried, "call")} work` +
      (one.limited ? `; ${one.limited} more meet a general limit` : "")),
    facts([
      ["torch", node("span", {}, between(one.apis.map(code)))],
      ["becomes", one.becomes.length ? node("span", {}, between(one.becomes.map(operatorLink))) : ""],
      ["MIL", node("span", {}, between(one.mil.map(code)))],
      ["in models", one.models ? `${one.models_work} of ${one.models} work, calls that models make and whole models` : "no measured model has it"],
    ]),
    section("Conditions", conditionList(one)),
    section("Where it was measured", unitTable(own)),
  );
  if (one.causes.length) main.append(section("Causes", ...one.causes.map(causeCard)));
  const ways = waysAround(own);
  if (ways.length) main.append(section("Ways around", ...ways));
  const plot = section("Errors against bounds");
  const calls = section(`Calls (${counted(own.length, "check")})`);
  main.append(plot, calls);
  if (own.length) await table(calls, `Calls of ${name}`, own, CALL_COLUMNS, { page: 25 });
  if (one.programs.length) {
    const programs = section(`Programs that contain it and work (${one.programs.length})`);
    main.append(programs);
    await table(programs, "Programs", one.programs, CHECK_COLUMNS, { page: 25 });
  }
  await plotErrors(plot, own);
}

function conditionList(one) {
  if (!one.conditions.length) {
    return node("p", {}, one.tried ? "Every call that was tried works, within the general limits." : "Every call that was tried meets a general limit.");
  }
  return node("ul", { class: "conditions" }, ...one.conditions.map((condition) => node("li", {},
    node("p", {}, fateBadge(condition), whereTold(condition), ": ", prose(condition.clause)),
    condition.causes.length ? node("p", { class: "small" }, "cause: ", between(condition.causes.map(causeLink))) : null,
    condition.calls.length ? node("details", { open: !condition.separates },
      node("summary", {}, `${counted(condition.calls.length + condition.more, "call")}`),
      node("ul", {}, ...condition.calls.map((call) => node("li", {}, code(call))), condition.more ? node("li", {}, `and ${condition.more} more, below`) : null)) : null,
    condition.check ? command(`coreml-harness repro ${quoted(condition.check)}`) : null)));
}

const fateBadge = (condition) => node("span", { class: `badge ${condition.silent ? "bad" : condition.fate.startsWith("runs") ? "part" : "fail"}` }, condition.fate);

/** Behind a fate: where it comes to that, or that it is known and was not seen here. */
const whereTold = (condition) => (condition.known ? " (known, by its script)" : condition.where.length ? ` in ${condition.where.join(", ")}` : "");

/** `executorch` of `executorch:cpu_only`. */
const kindOf = (unit) => unit.split(":")[0];

/** Every unit, with what was found there; what was not measured says so. */
function unitTable(rows) {
  const found = new Map();
  for (const row of rows) {
    const unit = checks.get("unit", row);
    const name = checks.get("outcome", row);
    if (!found.has(unit)) found.set(unit, new Map());
    found.get(unit).set(name, (found.get(unit).get(name) ?? 0) + 1);
  }
  const known = data.units
    .filter((unit) => found.has(unit.name) || ![...found.keys()].some((name) => kindOf(name) === unit.name))
    .map((unit) => [unit.name, unit.meaning]);
  const others = [...found.keys()].filter((unit) => !known.some(([name]) => name === unit)).map((unit) => [unit, ""]);
  return node("table", { class: "plain" },
    node("thead", {}, node("tr", {}, ...["Unit", "", "Checks"].map((title) => node("th", { scope: "col" }, title)))),
    node("tbody", {}, ...[...known, ...others].map(([unit, meaning]) => node("tr", {},
      node("th", { scope: "row" }, unit), node("td", {}, meaning),
      found.has(unit)
        ? node("td", {}, between([...found.get(unit)].map(([name, many]) => node("span", {}, `${many} `, outcomeBadge(name)))))
        : node("td", { class: "off" }, "not measured")))));
}

function causeCard(slug) {
  const cause = causes.get(slug);
  if (!cause) return node("p", {}, code(slug));
  return node("article", { class: "card" },
    node("h4", {}, link(addressOf("finding", slug), prose(cause.title))),
    node("p", {}, prose(cause.sees)),
    cause.condition ? node("p", {}, node("strong", {}, "Fails for "), prose(cause.condition), ".") : null,
    cause.remedy ? node("p", {}, node("strong", {}, "What to do: "), prose(cause.remedy)) : null,
    node("p", { class: "small" }, node("strong", {}, "Upstream: "), ...upstream(cause)));
}

const upstream = (cause) => (cause.url ? [outside(cause.url), cause.state ? ` (${cause.state})` : ""] : ["not reported, as far as is known"]);

/** What was verified for checks of these rows, each way once. */
function waysAround(rows) {
  const ways = new Map();
  for (const row of rows) {
    const text = checks.get("remedy", row);
    if (text && !ways.has(text)) ways.set(text, row);
  }
  return [...ways].slice(0, 12).map(([text, row]) => node("article", { class: "card" },
    node("p", { class: "small" }, "of ", checkLink(idOf(checks.one(row)))), node("pre", { tabindex: "0" }, text)));
}

async function showCheck(main, id) {
  const row = checks.rows().filter((one) => idOf({ case: checks.get("case", one), recipe: checks.get("recipe", one), unit: checks.get("unit", one) }) === id);
  main.append(node("h2", {}, code(id)));
  if (!row.length) main.append(node("p", { class: "empty" }, "No check of this id is among these records."));
  for (const one of row.map((at) => checks.one(at))) {
    const cause = causes.get(one.cause);
    main.append(node("article", { class: "card" }, facts([
      ["outcome", node("span", {}, outcomeBadge(one.outcome), ` in phase ${one.phase}`)],
      ["meaning", outcomes.get(one.outcome)?.meaning],
      ["call", one.call ? code(one.call) : ""],
      ["what went wrong", one.wrong ? node("pre", { tabindex: "0" }, one.wrong) : ""],
      ["operator", one.program ? "" : operatorLink(one.op)],
      ["function", one.api],
      ["dtype", one.dtype],
      ["recipe", one.recipe],
      ["unit", one.unit],
      ["environment", data.environments.find((e) => e.id === one.environment)?.text ?? one.environment],
      ["error", one.worst === null || one.limit === null ? "" : `${short(one.worst)}${one.at ? ` at ${one.at}` : ""}, bound ${short(one.limit)} (${one.bound}): ${headroomText(one.headroom)}`],
      ["largest error", one.ulp === null ? "" : `${one.ulp === EXACT ? "infinite" : short(one.ulp)} ULP`],
      ["SQNR", one.sqnr === null ? "" : one.sqnr === EXACT ? "exact" : `${short(one.sqnr)} dB`],
      ["delegated", one.delegated],
      ["left to ExecuTorch", one.left],
      ["MIL", one.mil],
      ["arises in", one.stage],
      ["made by models", one.models ? `${one.models} (${counted(one.calls, "call")})` : ""],
      ["delegates", one.delegates === null ? "" : `${one.delegates}, ${counted(one.islands, "island")} left to ExecuTorch`],
    ])));
    if (cause) main.append(section("Cause", causeCard(one.cause)));
    if (one.remedy) main.append(section("Way around", node("pre", { tabindex: "0" }, one.remedy)));
  }
  if (row.length) main.append(section("Reproduce", command(`coreml-harness repro ${quoted(id)}`), command(`coreml-harness explain ${quoted(id)}`)));
}

function showFinding(main, slug) {
  const one = causes.get(slug);
  if (!one) {
    main.append(node("h2", {}, slug), node("p", { class: "empty" }, "No cause of this name is described."));
    return;
  }
  main.append(
    node("h2", {}, prose(one.title)),
    node("p", { class: "lead" }, node("span", { class: "badge off" }, one.heading), ` ${[one.strikes, counted(one.checks, "check")].filter(Boolean).join("; ")}`),
    facts([
      ["what is seen", prose(one.sees)],
      ["fails for", one.condition ? prose(one.condition) : ""],
      ["what to do", one.remedy ? prose(one.remedy) : ""],
      ["why", prose(one.explanation)],
      ["where", one.source ? code(one.source) : ""],
      ["upstream", node("span", {}, ...upstream(one))],
      ["stage", one.stage],
      ["scope", one.scope],
      ["tried", one.tried],
      ["checks", node("span", {}, between(Object.entries(one.outcomes).map(([name, many]) => node("span", {}, `${many} `, outcomeBadge(name)))))],
      ["operators", node("span", {}, between(one.operators.map(operatorLink)))],
      ["models", one.models.join(", ")],
    ]),
    section("Reproduce", one.script ? command(one.script) : null, one.example ? command(`coreml-harness repro ${quoted(one.example)}`) : null,
      command(`coreml-harness findings --issue ${slug}`)),
    one.checks ? node("p", {}, link(addressOf("checks", "", { cause: slug }), "All its checks")) : "",
  );
}
