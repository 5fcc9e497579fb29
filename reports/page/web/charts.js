// Draws the Vega-Lite specifications that Python made, in the colours of the page.
"use strict";

const Charts = {
  views: new Set(),
  MOST_SVG: 800,

  colours(place) {
    const style = getComputedStyle(document.documentElement);
    const ink = style.getPropertyValue("--ink").trim();
    const soft = style.getPropertyValue("--soft").trim();
    const line = style.getPropertyValue("--line").trim();
    const limit = Math.max(130, Math.round(0.42 * place.clientWidth));
    return {
      background: "transparent",
      font: "system-ui, sans-serif",
      view: { stroke: "transparent" },
      // One picture with one name for those who hear the page; the table beside it has the numbers.
      mark: { aria: false },
      title: { aria: false },
      axis: { aria: false, labelColor: ink, titleColor: soft, gridColor: line, domainColor: line, tickColor: line, titleFontWeight: 400 },
      axisY: { labelLimit: limit },
      legend: { aria: false, labelColor: ink, titleColor: soft, symbolOpacity: 1, columns: place.clientWidth < 420 ? 2 : 3 },
      header: { labelColor: ink, titleColor: soft },
      text: { color: ink },
    };
  },

  // The specification with its rows, titles and scale.
  filled(spec, { rows = null, titles = {}, log = false } = {}) {
    let text = JSON.stringify(spec);
    for (const [name, title] of Object.entries(titles)) text = text.replaceAll(`{${name}}`, JSON.stringify(title).slice(1, -1));
    const found = JSON.parse(text);
    if (rows) found.data = { name: "rows", values: rows };
    if (log) for (const layer of found.layer) layer.encoding.x.scale.type = "log";
    return found;
  },

  draw(place, spec, { pick = null, label = null } = {}) {
    const rows = spec.data?.values?.length ?? 0;
    const compiled = vegaLite.compile(spec, { config: Charts.colours(place), logger: Charts.quiet });
    const view = new vega.View(vega.parse(compiled.spec), { renderer: rows > Charts.MOST_SVG ? "canvas" : "svg", hover: true });
    view.tooltip(Charts.hover).initialize(place);
    if (pick) view.addEventListener("click", (event, item) => item?.datum?.i !== undefined && pick(item.datum.i));
    view.run();
    place.setAttribute("role", "img");
    place.setAttribute("aria-label", label ?? spec.description ?? "chart");
    Charts.views.add(view);
    return view;
  },

  // Views of elements that are gone would listen to the window for ever.
  forget(place) {
    for (const view of Charts.views)
      if (!view.container()?.isConnected || place.contains(view.container())) {
        view.finalize();
        Charts.views.delete(view);
      }
  },

  quiet: { level() { return this; }, error: console.error, warn() { return this; }, info() { return this; }, debug() { return this; } },

  hover(handler, event, item, value) {
    let card = document.getElementById("hover");
    if (!value) {
      card?.remove();
      return;
    }
    card ??= document.body.appendChild(make("div", { id: "hover", "aria-hidden": "true" }));
    const lines = Object.entries(value).filter(([, text]) => text !== "" && text !== "undefined" && text !== "null");
    card.replaceChildren(...lines.map(([name, text]) => make("div", {}, make("b", {}, `${name} `), String(text))));
    const left = Math.min(event.clientX + 12, innerWidth - card.offsetWidth - 8);
    card.style.left = `${Math.max(4, left)}px`;
    card.style.top = `${Math.min(event.clientY + 12, innerHeight - card.offsetHeight - 8)}px`;
  },
};
