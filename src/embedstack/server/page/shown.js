// Answers as elements: who made them, what was cut, what went wrong, what ranks where.

/** Who made an answer and how long it took. `label` tells two apart. */
function madeBy(reply, label = "") {
  const header = (name) => reply.headers.get(`x-embedstack-${name}`) ?? "";
  const facts = {
    Model: decodeURIComponent(header("model")),
    Tokens: reply.data.usage?.total_tokens?.toLocaleString("en") ?? reply.headers.get("x-compute-tokens") ?? "",
    Took: millis(reply.took_ms),
    Fingerprint: header("fingerprint"),
    Space: header("space"),
    Request: reply.headers.get("x-request-id") ?? "",
  };
  const rows = Object.entries(facts).filter(([, value]) => value);
  return make(
    "details",
    { class: "made" },
    make(
      "summary",
      {},
      [label, facts.Model, facts.Tokens && `${facts.Tokens} tokens`, facts.Took].filter(Boolean).join(" · "),
    ),
    make("dl", {}, ...rows.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value)))),
  );
}

const millis = (value) => `${value < 10 ? value.toFixed(1) : Math.round(value).toLocaleString("en")} ms`;

/** What was cut away, as a warning; null where nothing was. */
function cutWarning(reply, one = "text") {
  const [items, tokens] = ["truncated", "dropped-tokens"].map((name) =>
    Number(reply.headers.get(`x-embedstack-${name}`)),
  );
  if (!items) return null;
  const were = items === 1 ? "was" : "were";
  return make(
    "p",
    { class: "warning" },
    `${plural(items, one)} ${were} longer than the model reads: ${plural(tokens, "token")} cut away.`,
  );
}

/** An error in the server's words, with what to search its log for. */
function problem(error) {
  const where = [error.status && `status ${error.status}`, error.requestId && `request ${error.requestId}`]
    .filter(Boolean)
    .join(", ");
  return make(
    "div",
    { class: "problem" },
    make("p", {}, error.message),
    where ? make("p", { class: "hint" }, where) : null,
  );
}

/** Texts in the order of their scores.
 *
 * rows: {text, score, note}: a text or several, the score that is drawn from 0 to 1, and perhaps a few words more.
 */
function ranking(rows, label, digits = 3) {
  return make("ol", { class: "ranking", "aria-label": label }, ...rows.map((row) => rankedRow(row, digits)));
}

function rankedRow({ text, score, note }, digits) {
  return make(
    "li",
    {},
    make("span", { class: "text" }, ...[text].flat().map((line) => make("span", {}, line))),
    make("span", { class: "score" }, unseen("score "), cosineText(score, digits)),
    bar(score),
    note ? make("span", { class: "hint" }, note) : null,
  );
}

const heading = (text) => make("h2", {}, text);
