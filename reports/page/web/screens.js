// The two screens: the front, and a track.
"use strict";

const Screens = {
  get MOST_PLOTS() {
    return isNarrow() ? 6 : 12;
  },

  front(main, data) {
    const about = make("p", { class: "soft", id: "about" }, data.about.line);
    const findings = make("ol", { id: "findings" });
    for (const finding of data.findings) findings.append(make("li", {}, make("a", { href: `#${finding.open}` }, make("b", {}, finding.lead), finding.text)));
    main.append(...Screens.warnings(data), make("h1", {}, `${data.title}: what was found`), findings, about);
    Screens.claims(main, data.claims);
    Screens.words(main, data.about.words);
    main.append(make("h2", {}, "Tracks"));
    const grid = make("div", { class: "plots" });
    main.append(grid);
    // Baselines, controls and ceilings alone are nothing to compare.
    const compared = data.tracks.filter((track) => track.small.data.values.some((row) => row.role === "method"));
    const shown = compared.slice(0, Screens.MOST_PLOTS);
    for (const track of shown) {
      const place = make("div", { class: "chart" });
      const card = make("a", { class: "card", href: `#track=${track.id}` }, make("h3", {}, track.title), make("p", { class: "soft" }, `${track.name} · ${track.measure}`), place);
      grid.append(card);
      Charts.draw(place, track.small, { label: `${track.name}: ${track.title}` });
    }
    const others = data.tracks.filter((track) => !shown.includes(track));
    if (others.length) {
      const links = others.slice(0, 20).map((track) => make("a", { href: `#track=${track.id}` }, track.name));
      main.append(make("p", { class: "others" }, shown.length ? "Also: " : "", ...links));
    }
    main.append(make("p", { class: "soft" }, "Dots: the difference of a row to the baseline, the dashed line, with its 95 % interval; right is better. Dotted lines: controls and ceilings; shaded: differences that count as none. ", make("span", {}, data.about.holds)));
  },

  warnings(data) {
    const found = data.about.warnings.map((words) => make("p", { class: "warn" }, words));
    if (data.about.problems.length) {
      const list = data.about.problems.map((words) => make("li", {}, words));
      found.push(make("details", { class: "warn" }, make("summary", {}, "Files that were skipped"), make("ul", {}, ...list)));
    }
    return found;
  },

  // What people read from the records: HTML that Python made of Markdown, without tags of its author's.
  words(main, html) {
    if (!html) return;
    const fold = make("details", { id: "words" }, make("summary", {}, "What people read from this"));
    fold.insertAdjacentHTML("beforeend", html);
    for (const table of fold.querySelectorAll("table")) {
      const box = make("div", { class: "box", tabindex: "0", role: "region", "aria-label": table.tHead.textContent.trim() });
      table.replaceWith(box);
      box.append(table);
    }
    main.append(fold);
  },

  claims(main, claims) {
    if (!claims) return;
    const bar = make("a", { class: "claims", href: "#sheet=claims", "aria-label": `Claims of papers: ${claims.parts.map((part) => `${part.count} ${part.verdict}`).join(", ")}` });
    for (const part of claims.parts)
      if (part.count) bar.append(make("span", { class: part.verdict.replaceAll(" ", "-"), style: `flex-grow: ${part.count}` }, String(part.count)));
    const key = claims.parts.map((part) => make("span", { class: part.verdict.replaceAll(" ", "-") }, `${part.verdict} ${part.count}`));
    main.append(make("h2", {}, `${claims.total} claims of papers`), bar, make("p", { class: "key" }, ...key));
    if (claims.own) main.append(make("p", { class: "soft" }, `${claims.own} statements of our own: ${claims.own_words}.`));
  },

  track(main, data, track, state) {
    const counts = Object.entries(track.counts).map(([outcome, count]) => make("span", { class: `outcome ${outcome.replace(" ", "-")}` }, `${count} ${outcome}`));
    main.append(...Screens.warnings(data).slice(0, 1));
    main.append(make("h1", {}, track.title), make("p", { class: "soft" }, `${data.suites[track.suite].title}: ${track.name} · ${track.measure}`));
    main.append(make("p", { class: "lead" }, track.sentence, " ", ...counts));
    if (track.others) main.append(make("p", { class: "soft" }, track.others));
    const forest = make("div", { class: "chart", id: "forest" });
    const cloud = make("div", { class: "chart", id: "scatter" });
    const controls = Screens.axes(track, state, () => drawCloud());
    const hide = make("label", {}, make("input", { type: "checkbox", id: "lines", checked: state.lines !== "off", onchange: (event) => { State.note({ lines: event.target.checked ? null : "off" }); drawForest(); } }), " controls and ceilings");
    const pair = make("div", { class: "two" },
      make("section", { "aria-labelledby": "effects" }, make("div", { class: "tools" }, make("h2", { id: "effects" }, "Effect against the baseline, right is better"), hide), forest, make("p", { class: "soft", id: "cut" })),
      make("section", { "aria-labelledby": "costs" }, make("div", { class: "tools" }, make("h2", { id: "costs" }, "Quality against cost"), ...controls), cloud));
    main.append(pair);
    let rows = track.rows;
    const open = (number) => State.go({ row: number, pair: null, sheet: null });

    const drawForest = () => {
      Charts.forget(forest);
      forest.replaceChildren();
      const most = isNarrow() ? 12 : 16;
      const paired = rows.filter((row) => row.effect !== null);
      const lines = paired.filter((row) => row.role === "control" || row.role === "ceiling");
      const rivals = paired.filter((row) => !lines.includes(row));
      const shown = [...rivals.slice(0, most), ...(document.getElementById("lines").checked ? lines.slice(0, 40) : [])];
      document.getElementById("cut").textContent = rivals.length > most ? `The first ${most} of ${rivals.length} rows; filter for others.` : "";
      if (rivals.length) Charts.draw(forest, Charts.filled(track.forest, { rows: shown }), { pick: open, label: `Effects: ${track.sentence}` });
      else forest.append(make("p", {}, paired.length ? "Only controls and ceilings have an effect here." : "No row has an effect against a baseline here."));
    };
    const drawCloud = () => {
      Charts.forget(cloud);
      cloud.replaceChildren();
      const x = document.getElementById("x");
      const y = document.getElementById("y");
      const log = document.getElementById("log").checked;
      State.note({ x: x.value === track.x ? null : x.value, y: y.value === track.y ? null : y.value, log: log ? "on" : null });
      const values = rows.filter((row) => known(row[x.value]) && known(row[y.value]) && (!log || row[x.value] > 0)).map((row) => ({ i: row.i, name: row.name, role: row.role, kind: row.kind, x: row[x.value], y: row[y.value] }));
      const titles = { x: x.selectedOptions[0]?.text ?? "", y: y.selectedOptions[0]?.text ?? "" };
      if (values.length) Charts.draw(cloud, Charts.filled(track.scatter, { rows: values, titles, log }), { pick: open });
      else cloud.append(make("p", {}, "No row has both."));
    };
    drawForest();
    drawCloud();
    Screens.table(main, data, track, state, open, (shown) => { rows = shown; drawForest(); drawCloud(); });
  },

  axes(track, state, change) {
    const choice = (id, label, options, chosen) => {
      const select = make("select", { id, onchange: change }, ...options.map(([value, text]) => make("option", { value, selected: value === chosen }, text)));
      return make("label", {}, `${label} `, select);
    };
    const costs = [...track.costs.map((title, place) => [`c${place}`, title]), ...track.training.map((title, place) => [`t${place}`, title])];
    const measured = costs.filter(([field]) => track.rows.some((row) => known(row[field])));
    const scores = [["score", track.measure], ...(track.tasks.length > 1 ? track.tasks.map((task, place) => [`s${place}`, `${task.name}: ${task.measure}`]) : [])];
    const log = make("label", {}, make("input", { type: "checkbox", id: "log", checked: state.log === "on", onchange: change }), " log");
    return [choice("y", "y", scores, state.y ?? track.y), choice("x", "x", measured, state.x ?? track.x), log];
  },

  table(main, data, track, state, open, show) {
    let picked = [];
    const compare = make("button", { type: "button", id: "compare", disabled: true, onclick: () => State.go({ pair: picked.join(","), row: null }) }, "Compare two picked rows");
    const pick = (number, on) => {
      picked = picked.filter((one) => one !== number).concat(on ? [number] : []).slice(-2).sort((a, b) => a - b);
      for (const box of place.querySelectorAll("input[type=checkbox]")) box.checked = picked.includes(Number(box.dataset.i));
      compare.disabled = picked.length !== 2;
      compare.textContent = compare.disabled ? "Compare two picked rows" : "Compare the two picked rows";
    };
    const place = make("div", { id: "table" });
    let table = null;
    const filter = make("input", { type: "search", id: "filter", value: state.filter ?? "", placeholder: "lora, better, control …", oninput: () => apply() });
    const apply = () => {
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      State.note({ filter: filter.value || null });
      const fits = (row) => words.every((word) => `${row.name} ${row.outcome} ${row.role} ${row.backbone}`.toLowerCase().includes(word));
      table.setFilter(fits);
      show(track.rows.filter(fits));
    };
    const toggles = Table.groups(track).map((group) => {
      const on = () => (State.read().groups ?? "").split(",").filter(Boolean);
      const button = make("button", { type: "button", "aria-pressed": String(on().includes(group.id)), onclick: () => {
        const open_now = on().includes(group.id);
        State.note({ groups: (open_now ? on().filter((one) => one !== group.id) : [...on(), group.id]).join(",") });
        button.setAttribute("aria-pressed", String(!open_now));
        for (const column of group.columns) open_now ? table.hideColumn(column.field) : table.showColumn(column.field);
        table.redraw();
      } }, `${group.title} (${group.columns.length})`);
      return button;
    });
    const concerns = (sheet) => !sheet.columns || sheet.columns.some((column) => track.columns.includes(column));
    const sheets = data.sheets.filter((sheet) => sheet.id.startsWith(`${track.suite}.`) && concerns(sheet));
    const links = sheets.map((sheet) => make("a", { href: State.address({ sheet: sheet.id, row: null, pair: null }) , class: "sheet", "data-sheet": sheet.id }, sheet.title));
    main.append(make("div", { class: "tools" }, make("label", {}, "filter ", filter), make("span", { class: "groups", role: "group", "aria-label": "Further columns" }, ...toggles), compare), place, make("p", { class: "sheets" }, ...links));
    table = Table.make(place, track, state, {
      open,
      pick,
      picked: () => picked,
      sorted: (sort) => State.note({ sort: sort === "effect.desc" ? null : sort }),
      ready: () => filter.value && apply(),
    });
  },
};
