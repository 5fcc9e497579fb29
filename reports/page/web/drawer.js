// The drawer: a row, two rows beside each other, or a sheet.
"use strict";

const Drawer = {
  MOST_EXAMPLES: 20,
  MOST_CURVES: 4,

  get element() {
    return document.getElementById("drawer");
  },

  open(title, fill) {
    const body = document.getElementById("drawer-body");
    Charts.forget(body);
    document.getElementById("drawer-title").textContent = title;
    body.replaceChildren();
    if (!Drawer.element.open) Drawer.element.showModal();
    fill(body);
    body.scrollTop = 0;
  },

  close() {
    if (Drawer.element.open) Drawer.element.close();
  },

  sheet(sheet) {
    Drawer.open(sheet.title, (body) => Blocks.show(body, sheet.blocks));
  },

  row(data, track, number) {
    const suite = data.suites[track.suite];
    const row = track.rows.find((one) => one.i === number);
    const about = suite.rows[number];
    Drawer.open(about.name, (body) => {
      const effect = row.effect === null ? row.why || "nothing is paired with it" : `${row.text}, ${row.outcome}${row.baseline ? ` against ${row.baseline}` : ""}`;
      body.append(make("p", { class: "lead" }, `${track.name}: ${row.stext}; ${effect}`));
      if (row.covers) body.append(make("p", { class: "soft" }, `p ${row.pt}; ${row.covers}. Corrected over the rows of the track.`));
      if (row.other) body.append(make("p", { class: "bad" }, row.other));
      const other = row.against;
      if (known(other)) {
        const address = State.address({ row: null, pair: [number, other].sort((a, b) => a - b).join(",") });
        body.append(make("p", {}, make("a", { href: address }, `Beside ${suite.rows[other].name}, as one comparison`)));
      }
      Drawer.parts(body, data, track, known(other) ? [number, other] : [number]);
    });
  },

  pair(data, track, numbers) {
    const suite = data.suites[track.suite];
    const [first, second] = numbers.map((number) => suite.rows[number]);
    Drawer.open(`${first.name} − ${second.name}`, (body) => {
      const lines = track.pairs[numbers.join("-")];
      if (lines) {
        body.append(...Blocks.grid(["task", "difference [95 %]", "over", "p", "pairs", "outcome"], lines, "Paired difference"));
        body.append(make("p", { class: "soft" }, "Positive: the first row is better. One comparison, not corrected for others, as sparsebench compare gives it."));
      } else
        body.append(make("p", {}, "This pair was not computed for the page: of a track with many rows those with a baseline and with the best row are. On the terminal:"));
      if (first.folder === second.folder) body.append(Blocks.command(`sparsebench compare ${first.folder} ${Drawer.quoted(first.label)} ${Drawer.quoted(second.label)}`));
      Drawer.parts(body, data, track, numbers);
    });
  },

  // A word for a shell.
  quoted(text) {
    return `'${text.replaceAll("'", "'\\''")}'`;
  },

  parts(body, data, track, numbers) {
    const suite = data.suites[track.suite];
    const rows = numbers.map((number) => suite.rows[number]);
    const columns = suite.columns.map((column, place) => ({ ...column, place })).filter((column) => track.columns.includes(column.place));
    for (const column of columns) Drawer.seeds(body, data, rows, column);
    Drawer.config(body, rows);
    for (const column of columns) {
      Drawer.curves(body, data, rows, column);
      if (rows.length === 2) Drawer.examples(body, rows, column);
    }
    for (const row of rows) Drawer.records(body, row, columns);
  },

  chart(body, title, spec) {
    const place = make("div", { class: "chart" });
    body.append(make("h3", {}, title), place);
    Charts.draw(place, spec);
  },

  seeds(body, data, rows, column) {
    const values = [];
    for (const row of rows)
      for (const record of row.cells[column.place]?.records ?? [])
        if (record.value !== null) values.push({ name: row.name, seed: record.seed, value: record.value });
    if (!values.length) return;
    Drawer.chart(body, `${column.name}: seeds`, Charts.filled(data.charts.seeds, { rows: values, titles: { x: column.metric } }));
    const texts = rows.map((row) => [row.name, values.filter((one) => one.name === row.name).map((one) => `${one.seed}: ${one.value}`).join(", ") || "–"]);
    body.append(make("details", {}, make("summary", {}, "In numbers"), ...Blocks.grid(["row", "seed: score"], texts)));
  },

  config(body, rows) {
    const names = [...new Set(rows.flatMap((row) => Object.keys(row.config)))];
    const texts = names.map((name) => [name, ...rows.map((row) => row.config[name] ?? "–")]);
    const differing = texts.filter(([, first, second]) => rows.length === 1 || first !== second);
    const titles = ["setting", ...rows.map((row) => row.name)];
    const title = rows.length === 1 ? "Configuration" : "Where the configurations differ";
    if (differing.length) body.append(...Blocks.grid(titles, differing, title));
    else body.append(make("h3", {}, title), make("p", {}, "Nowhere."));
  },

  curves(body, data, rows, column) {
    const names = [...new Set(rows.flatMap((row) => Object.keys(row.cells[column.place]?.curves ?? {})))];
    for (const name of names.slice(0, Drawer.MOST_CURVES)) {
      const values = [];
      for (const row of rows)
        for (const [step, value] of row.cells[column.place]?.curves?.[name] ?? []) values.push({ name: row.name, step, value });
      const [y, x] = name.split(" by ");
      Drawer.chart(body, `${column.name}: ${name}`, Charts.filled(data.charts.curve, { rows: values, titles: { x: x ?? "step", y } }));
    }
    if (names.length > Drawer.MOST_CURVES) body.append(make("p", { class: "soft" }, `Further curves are in the records: ${names.slice(Drawer.MOST_CURVES).join(", ")}.`));
  },

  // What each example adds to the score, of the lowest seed of both rows; the page only sorts the differences.
  examples(body, rows, column) {
    const [a, b] = rows.map((row) => row.cells[column.place]?.examples);
    if (!a || !b || a.length !== b.length) return;
    const differing = a.map((value, place) => [place, value, b[place]]).filter(([, first, second]) => first !== second);
    const all = rows[0].cells[column.place].of;
    const among = all > a.length ? `the first ${a.length} of ${all} examples` : `${all} examples`;
    const counted = `${differing.length} of ${among} differ (lowest seed of each row).`;
    body.append(make("h3", {}, `${column.name}: examples on which they differ`), make("p", {}, counted));
    differing.sort((one, other) => Math.abs(other[1] - other[2]) - Math.abs(one[1] - one[2]) || one[0] - other[0]);
    const rounded = (values, figures) => values.map((value) => String(Number(value.toPrecision(figures))));
    const shown = (values) => (new Set(rounded(values, 3)).size > 1 ? rounded(values, 3) : rounded(values, 7));
    const texts = differing.slice(0, Drawer.MOST_EXAMPLES).map(([place, ...values]) => [String(place), ...shown(values)]);
    if (texts.length) body.append(...Blocks.grid(["example", ...rows.map((row) => row.name)], texts));
  },

  records(body, row, columns) {
    const texts = [];
    for (const column of columns) {
      const cell = row.cells[column.place];
      for (const one of cell?.records ?? []) texts.push([one.id, column.name, one.seed, one.status + (one.reason ? `: ${one.reason}` : ""), one.value ?? "–", one.commit || "–", one.finished, one.took].map(String));
      if (cell?.left) body.append(make("p", { class: "soft" }, `${cell.left} more records of ${column.name} are in scores.csv.`));
    }
    if (!texts.length) return;
    body.append(...Blocks.grid(["record", "task", "seed", "status", "score", "commit", "finished", "took"], texts, `Records of ${row.name}`));
    body.append(make("p", {}, "Run again and compare with the record:"), Blocks.command(`sparsebench verify ${row.folder}/records/${texts[0][0]}.json`));
    const scores = columns.map((column) => row.cells[column.place]?.scores).filter(Boolean);
    if (scores.length) {
      const lines = scores.flatMap((one) => Object.entries(one));
      body.append(make("details", {}, make("summary", {}, "All metrics of the lowest seed"), ...Blocks.grid(["metric", "value"], lines)));
    }
  },
};
