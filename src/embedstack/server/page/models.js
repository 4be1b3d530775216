// The models that are served, and the lists to choose them from.

/** Each as {id, tasks, limit}; tasks and limit are null where the server does not say. */
async function servedModels(options) {
  const [listed, told] = await Promise.all([call("/openai/v1/models", options), capabilities(options)]);
  return listed.data.data.map((row) => ({
    id: row.id,
    tasks: row.capabilities ?? told.get(row.id) ?? null,
    limit: row.max_model_len ?? null,
  }));
}

/** What each model can do, by its name, in the words of Infinity's list. */
async function capabilities(options) {
  try {
    const reply = await call("/infinity/models", options);
    return new Map(reply.data.data.map((row) => [row.id, row.capabilities]));
  } catch (error) {
    if (error instanceof ServerError && error.status === 404) return new Map();
    throw error;
  }
}

const isFor = (model, task) => task === "any" || model.tasks === null || model.tasks.includes(task);

/** The lists of all panels, and what to say where one stays empty. */
function offerModels(models) {
  for (const list of document.querySelectorAll("select[data-task]")) {
    const fitting = models.filter((model) => isFor(model, list.dataset.task)).map((model) => model.id);
    const none = list.dataset.none ? [make("option", { value: "" }, list.dataset.none)] : [];
    list.replaceChildren(...none, ...fitting.map((id) => make("option", { value: id }, id)));
    if (!none.length) list.selectedIndex = Math.min(Number(list.dataset.place ?? 0), fitting.length - 1);
    list.disabled = fitting.length === 0;
    hint(list, fitting.length < (list.dataset.place ? 2 : 1));
  }
}

/** Tells under a list how to serve what it lacks. */
function hint(list, isLacking) {
  list.parentElement.querySelector(".hint")?.remove();
  if (!isLacking || !list.dataset.example) return;
  const what = list.dataset.place
    ? "Only one model of this kind is served. Two:"
    : "No model of this kind is served. One:";
  list.parentElement.append(make("p", { class: "hint" }, `${what} `, make("code", {}, list.dataset.example)));
}
