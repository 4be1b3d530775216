// The page begins: panels, tabs, code, key; then the models are asked for.

const LANGUAGES = { curl, python, typescript };
const served = [];

/** The code that asks what the open panel's form holds. */
function showCode() {
  const panel = panels.get(selected());
  byId("code").hidden = !panel;
  if (!panel) return;
  const language = document.querySelector("[name=language]:checked").value;
  byId("snippet").firstChild.textContent = LANGUAGES[language](
    panel.code({ ...placeholders(panel.form), ...panel.values() }),
  );
  byId("copied").textContent = "";
}

/** What stands in the code for models that are not served: a list without a choice is no part of what a form holds. */
const placeholders = (form) =>
  Object.fromEntries([...form.querySelectorAll("select:not([data-none])")].map(({ name }) => [name, "YOUR_MODEL"]));

/** Copies the code; where the browser allows no clipboard, as over plain HTTP, the code is selected instead. */
async function copyCode() {
  const code = byId("snippet").firstChild;
  try {
    await navigator.clipboard.writeText(code.textContent);
    byId("copied").textContent = "Copied.";
  } catch {
    getSelection().selectAllChildren(code);
    byId("copied").textContent = "Selected; press Ctrl and C.";
  }
}

function wantKey() {
  access.isWanted = true;
  byId("key").hidden = false;
  showCode();
}

async function askForModels() {
  const state = byId("state");
  try {
    served.splice(
      0,
      served.length,
      ...(await servedModels({ wait_s: Infinity, onWait: (reason) => showState(reason, "waiting") })),
    );
  } catch (error) {
    offerModels([]);
    return showState(error.status === 401 && !access.key ? "A key is needed." : error.message, "failed");
  }
  offerModels(served);
  showState(`Ready: ${served.map((model) => model.id).join(", ")}`, "ready");
  showCode();
  if (selected() === "similarity" && served.some((model) => isFor(model, "embed"))) panels.get("similarity").run();
  return undefined;

  function showState(text, kind) {
    state.textContent = text;
    state.dataset.kind = kind;
  }
}

openPanel("similarity", { ask: similarity, code: similarityCode });
openPanel("search", { ask: search, code: searchCode });
openPanel("rerank", { ask: rerank, code: rerankCode });
openPanel("tokens", { ask: tokens, code: tokensCode });
openPanel("compare", { ask: compare, code: compareCode });
openLive();
onSelected.add(showCode);
document.querySelectorAll("[name=language]").forEach((choice) => choice.addEventListener("change", showCode));
byId("copy").addEventListener("click", copyCode);
access.onWanted = wantKey;
byId("key").addEventListener("submit", (event) => {
  event.preventDefault();
  access.key = byId("key-text").value.trim();
  askForModels();
});
openTabs();
askForModels();
