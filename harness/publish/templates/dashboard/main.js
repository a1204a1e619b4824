// The page: which view, which theme, which keys.

const VIEWS = [
  ["operators", "Operators", showOperators],
  ["checks", "Checks", showChecks],
  ["findings", "Findings", showFindings],
  ["models", "Models", showModels],
  ["headroom", "Headroom", showHeadroom],
  ["compare", "Compare", showCompare],
  ["about", "About", showAbout],
];
/** Views of one thing, with the view of many that they belong to. */
const SINGLE = { operator: ["operators", showOperator], check: ["checks", showCheck], finding: ["findings", showFinding] };

const say = (text) => {
  document.getElementById("said").textContent = text;
};

let shown = 0;

/** Draw what the address says. A view that is overtaken by the next is dropped before it is seen. */
async function show({ keepFocus = false } = {}) {
  shown += 1;
  const mine = shown;
  const { view, of, filters } = readAddress();
  const single = SINGLE[view];
  const [name, , draw] = VIEWS.find(([one]) => one === (single ? single[0] : view)) ?? VIEWS[0];
  drawTabs(name);
  drawFilters(single ? "" : name, filters);
  const main = document.getElementById("main");
  const fresh = node("div", { class: "view" });
  closeTables();
  closePlots();
  main.replaceChildren(fresh);
  if (!keepFocus && of) main.focus({ preventScroll: true });
  if (!keepFocus) window.scrollTo(0, 0);
  await (single ? single[1](fresh, of) : draw(fresh, filters));
  if (mine === shown) document.documentElement.dataset.shown = String(shown);
}

function drawTabs(current) {
  const { filters } = readAddress();
  const kept = Object.fromEntries(["q", "recipe", "unit"].filter((key) => filters[key]).map((key) => [key, filters[key]]));
  document.getElementById("tabs").replaceChildren(...VIEWS.map(([name, title]) =>
    node("li", {}, node("a", { href: addressOf(name, "", kept), "aria-current": name === current ? "page" : null }, title))));
}

const isDark = () => document.documentElement.classList.contains("dark");

function setTheme(dark) {
  document.documentElement.classList.toggle("dark", dark);
  document.documentElement.style.colorScheme = dark ? "dark" : "light";
  const button = document.getElementById("theme");
  button.setAttribute("aria-pressed", String(dark));
  button.textContent = dark ? "Light mode" : "Dark mode";
}

/** A page of a file may have no storage. */
function stored(value) {
  try {
    if (value !== undefined) localStorage.setItem("coreml-harness-theme", value);
    return localStorage.getItem("coreml-harness-theme");
  } catch {
    return null;
  }
}

function toggleTheme() {
  setTheme(!isDark());
  stored(isDark() ? "dark" : "light");
  show({ keepFocus: true });
}

function onKey(event) {
  const typing = event.target instanceof Element && event.target.closest("input, select, textarea");
  if (event.key === "Escape" && typing) event.target.blur();
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const view = VIEWS[Number(event.key) - 1];
  if (event.key === "/") {
    event.preventDefault();
    if (document.getElementById("filters").hidden) location.hash = addressOf("operators");
    requestAnimationFrame(() => document.querySelector("#filters [name=q]")?.focus());
  } else if (event.key === "d") toggleTheme();
  else if (view) location.hash = addressOf(view[0]);
}

async function begin() {
  const system = matchMedia("(prefers-color-scheme: dark)");
  setTheme((stored() ?? (system.matches ? "dark" : "light")) === "dark");
  system.addEventListener("change", () => {
    if (!stored()) {
      setTheme(system.matches);
      show({ keepFocus: true });
    }
  });
  document.getElementById("theme").addEventListener("click", toggleTheme);
  const copier = document.getElementById("copy-address");
  copier.addEventListener("click", () => copy(location.href, copier));
  document.getElementById("skip").addEventListener("click", (event) => {
    event.preventDefault();
    document.getElementById("main").focus();
  });
  document.getElementById("filters").addEventListener("submit", (event) => event.preventDefault());
  if (typeof DecompressionStream === "undefined") {
    document.getElementById("loading").textContent = "This browser is too old to unpack the records: it has no DecompressionStream.";
    return;
  }
  await Promise.all([readData(), load("tables")]);
  const environments = data.environments.map((one) => one.text).join(" | ");
  document.getElementById("environments").textContent = `${counted(checks.length, "check")}. ${environments}`;
  window.addEventListener("hashchange", () => show());
  document.addEventListener("keydown", onKey);
  await show();
  document.documentElement.dataset.ready = "1";
}

begin().catch((error) => {
  document.getElementById("main").replaceChildren(node("p", { class: "empty" }, `The page could not be drawn: ${error}`));
  throw error;
});
