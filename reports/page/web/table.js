// The table of a track: six columns, the rest in groups that unfold; sorted, filtered, two rows picked.
"use strict";

const Table = {
  PAGE: 100,

  groups(track) {
    const numbered = (letter, titles) => titles.map((title, place) => ({ title, field: `${letter}${place}` }));
    const found = [
      { id: "tasks", title: "each task", columns: track.tasks.length > 1 ? numbered("s", track.tasks.map((task) => task.name)) : [] },
      { id: "costs", title: "costs", columns: numbered("c", track.costs).filter((column) => !["c0", "c4"].includes(column.field)) },
      { id: "training", title: "training", columns: numbered("t", track.training) },
      {
        id: "test",
        title: "test",
        columns: [
          { title: "p", field: "p" },
          { title: "how", field: "covers", plain: true },
          { title: "seeds", field: "seeds", plain: true },
          { title: "role", field: "role", plain: true },
          { title: "backbone", field: "backbone", plain: true },
        ],
      },
    ];
    return found.filter((group) => group.columns.length);
  },

  // Tabulator has no keys for its headers: a button inside gives them.
  column(title, field, more = {}) {
    return {
      title,
      field,
      headerSortStartingDir: "desc",
      titleFormatter: (cell) => make("button", { type: "button", class: "sort" }, cell.getValue()),
      ...more,
    };
  },

  number(title, field, text, more = {}) {
    const sorter = (a, b, first, second, column, direction) => Table.compare(a, b, direction);
    return Table.column(title, field, { hozAlign: "right", sorter, formatter: (cell) => cell.getData()[text] ?? "–", minWidth: 92, ...more });
  },

  // What nobody measured stands last, whichever way the column is sorted.
  compare(a, b, direction) {
    if (!known(a) || !known(b)) return (known(b) - known(a)) * (direction === "asc" ? 1 : -1);
    return a - b;
  },

  name(row, open) {
    const tags = [row.role === "method" ? null : row.role, row.alone || null, row.other ? "other now" : null].filter(Boolean);
    const button = make("button", { type: "button", class: "row", onclick: () => open(row.i), title: row.other || row.name }, row.name);
    return make("span", {}, button, ...tags.map((tag) => make("small", { class: "tag" }, tag)));
  },

  columns(track, state, { open, pick, picked }) {
    const narrow = isNarrow();
    const box = (cell) => {
      const { i, name } = cell.getData();
      return make("input", { type: "checkbox", "aria-label": `compare ${name}`, "data-i": i, checked: picked().includes(i), onchange: (event) => pick(i, event.target.checked) });
    };
    const shown = [
      { title: "pick", field: "i", formatter: box, headerSort: false, width: narrow ? 40 : 48, hozAlign: "center", resizable: false },
      Table.column("row", "name", { formatter: (cell) => Table.name(cell.getData(), open), minWidth: narrow ? 110 : 240, widthGrow: 3, headerSortStartingDir: "asc" }),
      Table.number(track.measure, "score", "stext", { minWidth: narrow ? 84 : 110, cssClass: "score" }),
      Table.number("effect", "effect", "text", { minWidth: 190, widthGrow: 2, visible: !narrow }),
      Table.column("outcome", "outcome", { minWidth: narrow ? 106 : 110, formatter: (cell) => make("span", { class: `outcome ${cell.getData().kind.replace(" ", "-")}` }, cell.getValue()) }),
      Table.number(track.costs[0] ?? "active params", "c0", "c0t", { visible: !narrow }),
      Table.number(track.costs[4] ?? "latency", "c4", "c4t", { visible: !narrow }),
    ];
    const open_groups = (state.groups ?? "").split(",");
    for (const group of Table.groups(track))
      for (const column of group.columns) {
        const more = { visible: open_groups.includes(group.id), minWidth: 130 };
        shown.push(column.plain ? Table.column(column.title, column.field, more) : Table.number(column.title, column.field, `${column.field}t`, more));
      }
    return shown;
  },

  make(place, track, state, actions) {
    const [field, dir] = (state.sort ?? "effect.desc").split(".");
    const table = new Tabulator(place, {
      data: track.rows,
      index: "i",
      layout: "fitColumns",
      columnDefaults: { headerWordWrap: true, tooltip: false },
      // Rows that are made while one scrolls would take the focus of the keyboard with them.
      renderVertical: "basic",
      pagination: track.rows.length > Table.PAGE,
      paginationSize: Table.PAGE,
      maxHeight: isNarrow() ? 420 : 400,
      columns: Table.columns(track, state, actions),
      initialSort: [{ column: field, dir }],
      placeholder: "No row has these words.",
      rowFormatter: (row) => row.getElement().classList.toggle("best", row.getData().best),
    });
    table.on("tableBuilt", () => {
      // The buttons of the rows take the keys; a box between grid and rows that does so as well is no part of a grid.
      place.querySelector(".tabulator-tableholder").removeAttribute("tabindex");
      actions.ready?.(table);
    });
    table.on("dataSorted", (sorters) => sorters.length && actions.sorted?.(`${sorters[0].field}.${sorters[0].dir}`));
    return table;
  },
};
