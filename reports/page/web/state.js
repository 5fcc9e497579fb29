// The state of a view is its address: "#track=llm.1&x=c0&filter=lora". Nothing else is remembered.
"use strict";

const State = {
  read() {
    return Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  },

  // The address of this view with some values changed; null takes a value away.
  address(changes, from = State.read()) {
    const found = new URLSearchParams();
    for (const [name, value] of Object.entries({ ...from, ...changes }))
      if (value !== null && value !== undefined && value !== "") found.set(name, value);
    return "#" + found.toString();
  },

  // Another view, which "back" leaves again.
  go(changes, from) {
    location.hash = State.address(changes, from);
  },

  // The same view a little different: no step of the history, and no new drawing of the screen.
  note(changes) {
    history.replaceState(null, "", State.address(changes));
  },
};

// A new element: tag with attributes, then children that are elements or texts.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter(known));
  return element;
}

const known = (value) => value !== null && value !== undefined;
const isNarrow = () => matchMedia("(max-width: 700px)").matches;
