// Texts to the cosine of each pair, as a table that is also a picture.

const MOST_IN_PICTURE = 60; // lines; above it cells are too small to see
const MOST_WITH_NUMBERS = 14; // lines; above it a number does not fit its cell
const MOST_PAIRS_NAMED = 3;
const STEPS = 10; // of colour, see matrix.css

async function similarity({ model, texts, others, role, othersRole, stretch }, options) {
  mustBeServed(model, "embedding model", "embedstack serve all-MiniLM-L6-v2");
  const [lines, columnLines] = [linesOf(texts), linesOf(others)];
  mustHave(lines, columnLines.length ? 1 : 2, "Texts");
  const most = Math.max(lines.length, columnLines.length);
  if (most > MOST_IN_PICTURE) {
    throw new Unfit(`The picture holds ${MOST_IN_PICTURE} lines; these are ${most}. Take some away.`);
  }
  const rows = await vectorsOf(model, lines, role, options);
  const columns = columnLines.length ? await vectorsOf(model, columnLines, othersRole, options) : rows;
  const matrix = cosines(rows.vectors, columns.vectors);
  const isSame = columns === rows;
  const replies = isSame ? [rows.reply] : [rows.reply, columns.reply];
  const against = isSame ? "" : ` against ${columnLines.length}`;
  const picture = { matrix, lines, columnLines: isSame ? lines : columnLines, isSame, model };
  return {
    said: `${plural(lines.length, "text")}${against}, ${rows.vectors[0].length} numbers each.`,
    nodes: [
      ...replies.map((reply) => cutWarning(reply)),
      heatMap(picture, scaleOf(matrix, isSame, stretch === "on")),
      ...(isSame ? [] : [columnList(columnLines)]),
      heading("Most alike"),
      ranking(mostAlike(picture), "The pairs that are most alike"),
      ...replies.map((reply) => madeBy(reply)),
    ],
  };
}

function similarityCode({ model, texts, others, role, othersRole }) {
  const [lines, columnLines] = [linesOf(texts), linesOf(others)];
  const rows = [textsLines(lines), { kind: "vectors", name: "texts", model, texts: lines, list: "texts", role }];
  if (!columnLines.length) return [...rows, COSINE, matrixLines("texts", "texts")];
  const columns = { kind: "vectors", name: "others", model, texts: columnLines, role: othersRole };
  return [...rows, columns, COSINE, matrixLines("texts", "others")];
}

/** The values that the first and the last colour stand for. A text compared with itself does not stretch them. */
function scaleOf(matrix, isSame, isStretched) {
  const values = isSame ? pairsOf(matrix) : matrix.flat();
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return isStretched && high > low ? { low, high } : { low: 0, high: 1 };
}

const stepOf = (value, { low, high }) =>
  Math.max(0, Math.min(STEPS - 1, Math.floor(((value - low) / (high - low)) * STEPS)));

function heatMap({ matrix, lines, columnLines, isSame, model }, scale) {
  const isDense = columnLines.length > MOST_WITH_NUMBERS;
  const name = (place) => (isSame ? String(place + 1) : letters(place));
  const head = columnLines.map((line, place) =>
    make("th", { scope: "col", title: line }, name(place), unseen(` ${line}`)),
  );
  const rows = matrix.map((row, place) =>
    make("tr", {}, rowHead(lines[place], place), ...row.map((value) => cell(value, scale, isDense))),
  );
  const caption = `Cosine of each pair of texts, by ${model}`;
  const table = make(
    "table",
    { class: isDense ? "heat dense" : "heat" },
    make("caption", { class: "unseen" }, caption),
    make("thead", {}, make("tr", {}, make("td"), ...head)),
    make("tbody", {}, ...rows),
  );
  return make("figure", {}, scrolling(caption, table), legend(scale));
}

const rowHead = (line, place) =>
  make(
    "th",
    { scope: "row", title: line },
    make("span", { class: "number" }, String(place + 1)),
    make("span", { class: "text" }, line),
  );

function cell(value, scale, isDense) {
  const text = cosineText(value);
  return make("td", { "data-step": stepOf(value, scale), title: isDense ? text : null }, isDense ? unseen(text) : text);
}

/** A, B, … Z, AA, AB, … */
function letters(place) {
  const rest = String.fromCharCode(65 + (place % 26));
  return place < 26 ? rest : letters(Math.floor(place / 26) - 1) + rest;
}

const columnList = (lines) =>
  make(
    "ol",
    { class: "columns", "aria-label": "Columns" },
    ...lines.map((line, place) => make("li", {}, make("b", {}, letters(place)), ` ${line}`)),
  );

function legend({ low, high }) {
  const swatches = Array.from({ length: STEPS }, (_, step) => make("span", { "data-step": step }));
  const ends = [low, high].map((value) => make("span", {}, cosineText(value)));
  return make(
    "figcaption",
    { class: "legend" },
    unseen("Colours from "),
    ends[0],
    make("span", { class: "swatches", "aria-hidden": "true" }, ...swatches),
    unseen(" to "),
    ends[1],
  );
}

/** The highest cosines, a text with itself left out. */
function mostAlike({ matrix, lines, columnLines, isSame }) {
  const pairs = matrix.flatMap((row, r) => row.map((score, c) => ({ score, r, c })));
  const apart = isSame ? pairs.filter(({ r, c }) => r < c) : pairs;
  const best = order(apart.map(({ score }) => score)).slice(0, MOST_PAIRS_NAMED);
  return best.map((place) => ({
    score: apart[place].score,
    text: [lines[apart[place].r], columnLines[apart[place].c]],
  }));
}
