// What the browser test asks of a page.
"use strict";

// Texts that lie over each other, on the screen that is shown.
const overprinted = () => {
  const hasText = (one) => [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
  const leaves = [...document.querySelectorAll("main *, header *")].filter(
    (one) => hasText(one) && one.checkVisibility() && !["OPTION", "SELECT"].includes(one.tagName),
  );
  const holder = document.querySelector(".tabulator-tableholder")?.getBoundingClientRect();
  const box = (one) => {
    const range = document.createRange();
    range.selectNodeContents(one);
    // A text of several lines has a box for each. What scrolls inside the table is cut at its end.
    const cut = holder && one.closest(".tabulator-row") ? holder.bottom : Infinity;
    return [...range.getClientRects()].filter((found) => found.bottom <= cut).map((found) => [one, found]);
  };
  const boxes = leaves.flatMap(box);
  const found = [];
  for (const [place, [one, a]] of boxes.entries())
    for (const [other, b] of boxes.slice(place + 1)) {
      const width = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      const apart = !one.contains(other) && !other.contains(one);
      if (apart && width > 3 && height > 4) found.push([one, other].map((text) => text.textContent.trim().slice(0, 30)).join(" / "));
    }
  return found;
};

// Numbers all controls that can be used now, and says how many there are.
const controls = () => {
  const top = document.querySelector("dialog[open]") ?? document;
  const all = [...top.querySelectorAll("a[href], button, input, select, summary, [tabindex='0']")];
  const shown = all.filter((one) => one.checkVisibility() && !one.disabled && (top !== document || !one.closest("dialog")));
  shown.forEach((one, place) => one.setAttribute("data-control", place));
  return shown.length;
};

const unreached = (reached) =>
  [...document.querySelectorAll("[data-control]")].filter((one) => !reached.includes(one.dataset.control)).map((one) => one.outerHTML.slice(0, 100));

const measures = () => {
  const page = document.documentElement;
  const picture = document.querySelector("main .chart svg").getBoundingClientRect();
  const verdict = document.querySelector("#findings, .lead").getBoundingClientRect();
  return { height: page.scrollHeight, width: page.scrollWidth, verdict: verdict.bottom, top: picture.top, bottom: picture.bottom };
};

// Addresses of the drawers of the track with the most rows, and of a sheet with a chart.
const addresses = async () => {
  const data = await unpack();
  const track = data.tracks.reduce((a, b) => (b.rows.length > a.rows.length ? b : a));
  const sheet = data.sheets.find((one) => one.id.startsWith(track.suite) && one.blocks.some((block) => block.kind === "chart"));
  const pair = Object.keys(track.pairs)[0].replace("-", ",");
  const at = `track=${track.id}`;
  return { front: "", track: at, row: `${at}&row=${track.rows[0].i}`, pair: `${at}&pair=${pair}`, sheet: `${at}&sheet=${sheet.id}` };
};

const mostRows = async () => Math.max(...(await unpack()).tracks.map((track) => track.rows.length));
