// What is shown stands in the address, so that a view can be sent: `#operators?q=gelu&silent=1`.

function addressOf(view, of = "", filters = {}) {
  const kept = Object.entries(filters).filter(([, value]) => value);
  const query = new URLSearchParams(kept).toString();
  return `#${view}${of ? `/${encodeURIComponent(of)}` : ""}${query ? `?${query}` : ""}`;
}

function readAddress() {
  const text = location.hash.slice(1) || "operators";
  const question = text.indexOf("?");
  const [path, query] = question < 0 ? [text, ""] : [text.slice(0, question), text.slice(question + 1)];
  const slash = path.indexOf("/");
  const [view, of] = slash < 0 ? [path, ""] : [path.slice(0, slash), path.slice(slash + 1)];
  return { view, of: decoded(of), filters: Object.fromEntries(new URLSearchParams(query)) };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Other filters in the same view. While somebody types, the history is not filled with every letter. */
function refilter(filters) {
  const { view, of } = readAddress();
  history.replaceState(null, "", addressOf(view, of, filters));
  show({ keepFocus: true });
}
