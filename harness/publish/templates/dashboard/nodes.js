// Elements from text. Nothing here reads markup: what a record says is text, whatever it says.

/** An element with attributes (`on...` are listeners) and children, which are nodes or text. */
function node(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

const code = (text) => node("code", {}, text);

/** Prose as causes and clauses are written: code in backticks, a word in bold, a backslash before what is meant as is. */
function prose(text) {
  const found = document.createDocumentFragment();
  const plain = (part) => part.replace(/\\([\\`*_|<>[\]])/g, "$1");
  let at = 0;
  for (const match of text.matchAll(/(?<!\\)(`+)\s?(.+?)\s?\1|\*\*(.+?)\*\*/g)) {
    found.append(plain(text.slice(at, match.index)));
    found.append(match[2] !== undefined ? code(match[2].replaceAll("\\|", "|")) : node("strong", {}, plain(match[3])));
    at = match.index + match[0].length;
  }
  found.append(plain(text.slice(at)));
  return found;
}

const link = (address, ...children) => node("a", { href: address }, ...children);

/** A link out of the page; anything but https stays text. */
function outside(url) {
  if (!url.startsWith("https://")) return document.createTextNode(url);
  return node("a", { href: url, rel: "noopener noreferrer", target: "_blank" }, url.replace(/^https:\/\//, ""));
}

/** A name that may go on in the next line behind a dot, an underscore or a slash. */
function breakable(text) {
  const found = document.createDocumentFragment();
  for (const part of text.split(/(?<=[._/,@])(?=.)/)) found.append(part, node("wbr"));
  return found;
}

const operatorLink = (name) => (operators.has(name) ? link(addressOf("operator", name), breakable(name)) : breakable(name));
const causeLink = (slug) => (causes.has(slug) ? link(addressOf("finding", slug), slug) : slug);
const checkLink = (id, ...children) => link(addressOf("check", id), ...(children.length ? children : [id]));

function between(nodes, separator = ", ") {
  return nodes.flatMap((one, at) => (at ? [separator, one] : [one]));
}

const KINDS = { works: "good", silent: "bad", unjudged: "off" };

/** The outcome of a check as a badge: its colour never says more than its words. */
function outcomeBadge(name) {
  const known = outcomes.get(name);
  const kind = !known || !known.judged ? "unjudged" : known.works ? "works" : known.silent ? "silent" : "";
  const look = name === "pass" ? "good" : kind === "works" ? "part" : (KINDS[kind] ?? "fail");
  return node("span", { class: `badge ${look}`, title: known?.meaning }, name);
}

const CATEGORY_LOOKS = [
  [/^Works$/, "good"],
  [/silently|wrong/i, "bad"],
  [/^Works, except/, "part"],
  [/^Runs/, "part"],
  [/^Tried/, "off"],
];

function categoryBadge(name, { inShort = false } = {}) {
  const known = data.categories.find((one) => one.name === name);
  const look = CATEGORY_LOOKS.find(([pattern]) => pattern.test(name))?.[1] ?? "fail";
  const title = `${name}: ${known?.meaning.replaceAll("`", "")}`;
  return node("span", { class: `badge ${look}`, title }, inShort && known ? known.short : name);
}

/** A command to paste, with a button that copies it. */
function command(text) {
  const button = node("button", { type: "button", class: "small", onclick: () => copy(text, button) }, "Copy");
  return node("div", { class: "command" }, node("pre", { tabindex: "0" }, code(text)), button);
}

async function copy(text, button) {
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    // A page of a file may not be allowed to: what is to be copied is put where it can be selected.
    window.prompt("Copy:", text);
  }
  setTimeout(() => {
    button.textContent = before;
  }, 1200);
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function short(value) {
  if (value === null || value === undefined) return "";
  if (Number.isInteger(value)) return String(value);
  const text = Math.abs(value) < 1e-3 ? value.toExponential(2) : value.toPrecision(3);
  return text.replace(/(\.\d*?)0+(e|$)/, "$1$2").replace(/\.(e|$)/, "$1");
}

const headroomText = (value) => (value === null ? "" : value === EXACT ? "exact" : `x${short(value)}`);
const counted = (many, noun) => `${many.toLocaleString("en")} ${noun}${many === 1 ? "" : "s"}`;

/** Names and values, one under the other. */
function facts(pairs) {
  const shown = pairs.filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return node("dl", {}, ...shown.flatMap(([name, value]) => [node("dt", {}, name), node("dd", {}, value)]));
}

function section(title, ...children) {
  return node("section", {}, node("h3", {}, title), ...children);
}
