// Unpacks the data and shows the screen and the drawer that the address names.
"use strict";

async function unpack() {
  const bytes = Uint8Array.from(atob(document.getElementById("data").textContent), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

function start(data) {
  const main = document.getElementById("main");
  const choice = document.getElementById("track");
  let shown = null;

  choice.append(make("option", { value: "" }, "all (front page)"));
  for (const track of data.tracks) choice.append(make("option", { value: track.id }, `${data.suites[track.suite].title}: ${track.name}`));
  choice.addEventListener("change", () => State.go({ track: choice.value }, {}));
  const common = data.sheets.filter((sheet) => !sheet.id.includes("."));
  document.getElementById("links").append(...common.map((sheet) => make("a", { href: `#sheet=${sheet.id}`, "data-sheet": sheet.id }, sheet.title)));
  document.getElementById("footer").textContent = data.footer;
  document.getElementById("skip").addEventListener("click", (event) => { event.preventDefault(); main.focus(); });
  document.getElementById("close").addEventListener("click", () => Drawer.close());
  Drawer.element.addEventListener("close", () => State.go({ row: null, pair: null, sheet: null }));
  // A sheet opens over the screen that is there.
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-sheet]");
    if (!link) return;
    event.preventDefault();
    State.go({ sheet: link.dataset.sheet, row: null, pair: null });
  });

  const show = () => {
    const state = State.read();
    const track = data.tracks.find((one) => one.id === state.track);
    const screen = track?.id ?? "";
    if (screen !== shown) {
      Charts.forget(main);
      main.replaceChildren();
      shown = screen;
      if (track) Screens.track(main, data, track, state);
      else Screens.front(main, data);
      choice.value = screen;
      scrollTo(0, 0);
    }
    const sheet = data.sheets.find((one) => one.id === state.sheet);
    // Of rows that the track does not have, the address of another page may be, nothing is shown.
    const named = (text) => (text ?? "").split(",").map(Number).filter((number) => track?.rows.some((row) => row.i === number));
    const pair = named(state.pair);
    const row = state.row === undefined ? [] : named(state.row);
    if (pair.length === 2) Drawer.pair(data, track, pair);
    else if (row.length === 1) Drawer.row(data, track, row[0]);
    else if (sheet) Drawer.sheet(sheet);
    else Drawer.close();
    document.body.dataset.ready = Math.round(performance.now());
  };
  const again = () => { shown = null; show(); };
  addEventListener("hashchange", show);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  matchMedia("(max-width: 700px)").addEventListener("change", again);
  show();
}

unpack().then(start).catch((error) => {
  document.getElementById("main").append(make("p", { class: "bad" }, `This page cannot be shown: ${error}. scores.csv next to it has all numbers.`));
});
