// A panel: a form that asks, a place for the answer, and the code that asks the same.

const panels = new Map();

/** Makes the form of a panel ask.
 *
 * ask(values, options) -> {said, nodes}: a sentence for the ear, and the elements of the answer.
 * code(values) -> the steps of a program, see snippets.js.
 */
function openPanel(name, { ask, code }) {
  const root = byId(`panel-${name}`);
  const form = root.querySelector("form");
  const said = make("p", { class: "hint", role: "status" });
  const failed = make("div", { role: "alert" });
  const shown = make("div", { class: "shown" });
  root.querySelector(".answer").append(said, failed, shown);
  const panel = { form, code, values: () => Object.fromEntries(new FormData(form)), run: () => run(panel) };
  Object.assign(panel, { ask, said, failed, shown, running: null });
  panels.set(name, panel);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    panel.run();
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  form.addEventListener("input", showCode);
  said.textContent = `Press ${form.querySelector("[type=submit]").textContent}, or Ctrl and Enter in a field.`;
}

/** Asks with what the form holds; an answer that is still under way is no longer wanted. */
async function run(panel) {
  panel.running?.abort();
  const running = (panel.running = new AbortController());
  const say = (text) => (panel.said.textContent = text);
  panel.failed.replaceChildren();
  panel.shown.setAttribute("aria-busy", "true");
  say("Asking the server …");
  try {
    const { said, nodes } = await panel.ask(panel.values(), { signal: running.signal, onWait: say });
    panel.shown.replaceChildren(...nodes.filter((node) => node !== null));
    say(said);
  } catch (error) {
    if (error.name === "AbortError") return;
    say("");
    panel.shown.replaceChildren();
    panel.failed.replaceChildren(problem(error));
    if (!(error instanceof ServerError || error instanceof Unfit)) throw error;
  } finally {
    if (panel.running === running) panel.shown.removeAttribute("aria-busy");
  }
}

/** What the form holds cannot be asked. */
class Unfit extends Error {}

function mustHave(lines, least, what) {
  if (lines.length < least) throw new Unfit(`${what}: write at least ${plural(least, "line")}.`);
}

function mustBeServed(model, what, example) {
  if (!model) throw new Unfit(`This server has no ${what}. Start it with one, for example: ${example}`);
}

// Tabs, as https://www.w3.org/WAI/ARIA/apg/patterns/tabs/ says: arrows, Home and End move and select.

const tabs = [...document.querySelectorAll("[role=tab]")];
const onSelected = new Set();

function selectTab(tab) {
  for (const one of tabs) {
    one.setAttribute("aria-selected", String(one === tab));
    one.tabIndex = one === tab ? 0 : -1;
    byId(one.getAttribute("aria-controls")).hidden = one !== tab;
  }
  history.replaceState(null, "", `#${selected()}`);
  onSelected.forEach((listener) => listener());
}

/** The name of the panel that is seen. */
const selected = () => nameOf(tabs.find((tab) => tab.getAttribute("aria-selected") === "true"));

const nameOf = (tab) => tab.getAttribute("aria-controls").replace("panel-", "");

function openTabs() {
  const moves = {
    ArrowRight: (place) => (place + 1) % tabs.length,
    ArrowLeft: (place) => (place + tabs.length - 1) % tabs.length,
    Home: () => 0,
    End: () => tabs.length - 1,
  };
  tabs.forEach((tab, place) => {
    tab.addEventListener("click", () => selectTab(tab));
    tab.addEventListener("keydown", (event) => {
      const move = moves[event.key];
      if (!move || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      tabs[move(place)].focus();
      selectTab(tabs[move(place)]);
    });
  });
  selectTab(tabs.find((tab) => `#${nameOf(tab)}` === location.hash) ?? tabs[0]);
}
