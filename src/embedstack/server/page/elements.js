// Elements of the document: found by name, and made from words and other elements, never from markup.

const DRAWING = "http://www.w3.org/2000/svg";

const byId = (id) => document.getElementById(id);

/** An element; attributes that are false or null are left out. */
function make(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** An element of a drawing. */
function draw(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(DRAWING, tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** Words for those who hear the page and do not see it. */
const unseen = (text) => make("span", { class: "unseen" }, text);

/** A bar that fills a share of its track; what is below 0 has none. The number beside it says the same. */
function bar(share) {
  const track = make("span", { class: "track", "aria-hidden": "true" }, make("span"));
  track.firstChild.style.inlineSize = `${Math.max(0, Math.min(1, share)) * 100}%`;
  return track;
}

/** A part of the page that scrolls sideways, also by keyboard. */
const scrolling = (label, child) =>
  make("div", { class: "scrolling", role: "region", "aria-label": label, tabindex: "0" }, child);

/** Lines that hold something. */
const linesOf = (text) =>
  text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter(Boolean);

const plural = (count, one, many = `${one}s`) => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
