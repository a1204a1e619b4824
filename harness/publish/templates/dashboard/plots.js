// Plots by Bokeh, drawn when they are first asked for.

function closePlots() {
  for (const one of globalThis.Bokeh?.documents.splice(0) ?? []) one.clear();
}

function palette() {
  const style = getComputedStyle(document.documentElement);
  const get = (name) => style.getPropertyValue(`--${name}`).trim();
  return { text: get("text"), faint: get("line"), ground: get("card"), good: get("good"), bad: get("bad"), part: get("part") };
}

function figure(options) {
  const { text, faint, ground } = palette();
  const made = Bokeh.Plotting.figure({
    height: 320, sizing_mode: "stretch_width", tools: "pan,wheel_zoom,box_zoom,reset,save",
    background_fill_color: ground, border_fill_color: ground, outline_line_color: faint, ...options,
  });
  made.toolbar.logo = null;
  made.toolbar.active_scroll = null;
  for (const axis of made.axes) {
    axis.axis_label_text_color = text;
    axis.major_label_text_color = text;
    axis.axis_line_color = faint;
    axis.major_tick_line_color = faint;
    axis.minor_tick_line_color = null;
  }
  for (const grid of [...made.xgrids, ...made.ygrids]) grid.grid_line_color = faint;
  return made;
}

async function draw(host, make) {
  await load("charts");
  await load("plotting");
  if (!host.isConnected) return; // another view is shown by now
  await Bokeh.Plotting.show(make(), host);
}

/** Errors against their bounds, both by powers of ten; the line is where an error fills its bound. */
async function plotErrors(host, rows) {
  const judged = rows.map((row) => checks.one(row)).filter((one) => one.limit > 0 && one.worst !== null && one.bound !== "EXACT");
  const seen = judged.filter((one) => one.worst > 0 && one.worst !== EXACT);
  const outside = seen.filter((one) => one.worst > one.limit);
  host.append(node("p", {}, judged.length
    ? `${counted(judged.length, "check")} with a bound: ${seen.length - outside.length} within it, ${outside.length} outside, ` +
      `${judged.length - seen.length} exact or without a finite error (not drawn). The table of calls has the numbers.`
    : "No check of it was held against a bound."));
  if (!seen.length) return;
  const plot = node("div", { class: "plot", role: "img", "aria-label": "Errors against their bounds" });
  host.append(plot);
  await draw(plot, () => {
    const colours = palette();
    const made = figure({ x_axis_type: "log", y_axis_type: "log", x_axis_label: "bound (absolute)", y_axis_label: "error (absolute)" });
    const ends = [Math.min(...seen.map((one) => one.limit)) / 2, Math.max(...seen.map((one) => one.limit)) * 2];
    made.line(ends, ends, { line_color: colours.text, line_dash: "dashed", legend_label: "error = bound" });
    const groups = [
      ["within, fp16", "circle", colours.good, (one) => one.worst <= one.limit && !one.recipe.startsWith("fp32")],
      ["within, fp32", "square", colours.good, (one) => one.worst <= one.limit && one.recipe.startsWith("fp32")],
      ["outside", "x", colours.bad, (one) => one.worst > one.limit],
    ];
    const renderers = [];
    for (const [legend, marker, colour, holds] of groups) {
      const members = seen.filter(holds);
      if (!members.length) continue;
      const source = new Bokeh.ColumnDataSource({ data: {
        x: members.map((one) => one.limit), y: members.map((one) => one.worst),
        call: members.map((one) => one.call || one.case), recipe: members.map((one) => one.recipe),
        outcome: members.map((one) => one.outcome),
      } });
      renderers.push(made.scatter({
        x: { field: "x" }, y: { field: "y" }, source, marker, size: 9,
        fill_color: colour, line_color: colour, fill_alpha: 0.5, legend_label: legend,
      }));
    }
    Object.assign(made.legend, {
      location: "top_left", click_policy: "hide", background_fill_alpha: 0.8,
      background_fill_color: colours.ground, label_text_color: colours.text, border_line_color: colours.faint,
    });
    made.add_tools(new Bokeh.HoverTool({ renderers, tooltips: [["call", "@call"], ["recipe", "@recipe"], ["outcome", "@outcome"], ["error", "@y"], ["bound", "@x"]] }));
    return made;
  });
}

/** How many rows have how much headroom, by powers of ten, in bins of a quarter of one. */
async function plotHeadroom(host, values) {
  const finite = values.filter((value) => value !== null && value > 0).map((value) => Math.log10(value));
  if (!finite.length) return;
  const plot = node("div", { class: "plot", role: "img", "aria-label": "How many operators have how much headroom" });
  host.append(plot);
  await draw(plot, () => {
    const colours = palette();
    const [width, most] = [0.25, 6];
    const bins = new Map();
    for (const value of finite) {
      const at = Math.floor(Math.max(-2, Math.min(most, value)) / width);
      bins.set(at, (bins.get(at) ?? 0) + 1);
    }
    const made = figure({ height: 240, x_axis_label: "smallest headroom, power of ten (left of 0: outside the bound)", y_axis_label: "rows" });
    for (const [colour, holds] of [[colours.bad, (at) => at < 0], [colours.good, (at) => at >= 0]]) {
      const members = [...bins.keys()].filter(holds);
      if (members.length) {
        made.quad({
          left: members.map((at) => at * width), right: members.map((at) => (at + 1) * width),
          bottom: members.map(() => 0), top: members.map((at) => bins.get(at)),
          fill_color: colour, line_color: colours.ground,
        });
      }
    }
    return made;
  });
}
