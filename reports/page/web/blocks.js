// Shows the blocks of a sheet: texts, tables, charts, galleries, whatever they are of.
"use strict";

const Blocks = {
  show(place, blocks) {
    for (const block of blocks) {
      const found = Blocks[block.kind](block);
      if (block.fold) {
        const fold = make("details", {}, make("summary", {}, block.fold), ...found);
        place.append(fold);
      } else place.append(...found);
      if (block.kind === "chart") Charts.draw(found.find((one) => one.matches(".chart")), block.spec);
    }
  },

  text(block) {
    return [make("p", { class: block.bad ? "bad" : null }, block.text)];
  },

  table(block) {
    return Blocks.grid(block.titles, block.rows, block.title, block.caption);
  },

  // Rows of texts or elements. A wide table scrolls in a box of its own, which keys can reach.
  grid(titles, rows, title = "", caption = "") {
    const head = make("tr", {}, ...titles.map((text) => make("th", { scope: "col" }, text)));
    const body = rows.map((row) =>
      make("tr", {}, ...row.map((cell, place) => (place ? make("td", {}, cell) : make("th", { scope: "row" }, cell)))),
    );
    const table = make("table", {}, make("thead", {}, head), make("tbody", {}, ...body));
    const box = make("div", { class: "box", tabindex: "0", role: "region", "aria-label": title || titles.join(", ") }, table);
    return [title ? make("h3", {}, title) : null, box, caption ? make("p", { class: "soft" }, caption) : null].filter(Boolean);
  },

  chart(block) {
    const caption = block.caption ? make("p", { class: "soft" }, block.caption) : null;
    return [make("h3", {}, block.title), make("div", { class: "chart" }), caption].filter(Boolean);
  },

  gallery(block) {
    const list = make("ol", { class: block.form });
    for (const picture of block.pictures) {
      const item = make("li", { title: picture.text });
      // SVG that Python drew from a molecule; all texts of others are set as text.
      if (picture.svg) item.insertAdjacentHTML("beforeend", picture.svg);
      else item.append(make("code", {}, picture.text || "(empty)"));
      if (picture.caption) item.append(make("small", {}, picture.caption));
      list.append(item);
    }
    const texts = block.pictures.map((picture) => [picture.text, picture.caption].filter(Boolean).join("  ")).join("\n");
    const fold = make("details", {}, make("summary", {}, block.texts), make("pre", { tabindex: "0" }, texts));
    return [make("h3", {}, block.title), list, block.caption ? make("p", { class: "soft" }, block.caption) : null, fold].filter(Boolean);
  },

  command(words) {
    const copy = make("button", { type: "button", onclick: () => navigator.clipboard?.writeText(words) }, "Copy");
    return make("p", { class: "command" }, make("code", {}, words), copy);
  },
};
