// Lines through two models to how far they agree: vector by vector in one space, else by what they find alike.

const MOST_RANKED = 5; // of each model's best lines

async function compare({ first, second, query, texts }, options) {
  mustBeServed(first && second, "embedding model", "embedstack serve all-MiniLM-L6-v2");
  const lines = linesOf(texts);
  mustHave(lines, 2, "Lines");
  const sides = await Promise.all([first, second].map((model) => sideOf(model, query, lines, options)));
  const agreement = rankCorrelation(...sides.map(({ vectors }) => pairsOf(cosines(vectors, vectors))));
  const isOneSpace = sides[0].space !== "" && sides[0].space === sides[1].space;
  return {
    said: saidOf(sides, isOneSpace),
    nodes: [
      isOneSpace ? sameSpace(sides, lines) : otherSpaces(),
      heading("What they find alike"),
      agreementText(agreement, lines.length),
      heading(`Best lines for “${query}”`),
      make(
        "div",
        { class: "sides" },
        ...sides.map((side, place) => topList(side, sides[1 - place], lines, "AB"[place])),
      ),
      ...sides.map((side) => cutWarning(side.reply, "line")),
      ...sides.map((side, place) => madeBy(side.reply, "AB"[place])),
    ],
  };
}

function compareCode({ first, second, texts }) {
  const step = (name, model) => ({
    kind: "vectors",
    name,
    model,
    texts: linesOf(texts),
    list: "texts",
    role: "document",
  });
  const matrices = [
    matrixLines("first", "first"),
    printed(["print()"], ["console.log();"]),
    matrixLines("second", "second"),
  ];
  return [textsLines(linesOf(texts)), step("first", first), step("second", second), COSINE, ...matrices];
}

async function sideOf(model, query, lines, options) {
  const [known, asked] = await Promise.all([
    vectorsOf(model, lines, "document", options),
    vectorsOf(model, [query], "query", options),
  ]);
  const header = (name) => known.reply.headers.get(`x-embedstack-${name}`) ?? "";
  const scores = cosines(asked.vectors, known.vectors)[0];
  return {
    model,
    vectors: known.vectors,
    reply: known.reply,
    scores,
    places: order(scores),
    space: header("space"),
    fingerprint: header("fingerprint"),
  };
}

function saidOf([a, b], isOneSpace) {
  if (!isOneSpace) return "Two spaces: their vectors must never be mixed.";
  return a.fingerprint === b.fingerprint
    ? "One space and one fingerprint: the same vectors."
    : "One space, two fingerprints: the same model, computed differently.";
}

function sameSpace([a, b], lines) {
  const values = a.vectors.map((vector, place) => cosine(vector, b.vectors[place]));
  const rows = lines.map((line, place) =>
    make("tr", {}, make("th", { scope: "row" }, line), make("td", { class: "number" }, values[place].toFixed(5))),
  );
  const head = make(
    "thead",
    {},
    make(
      "tr",
      {},
      make("th", { scope: "col" }, "Line"),
      make("th", { scope: "col", class: "number" }, "Cosine of A with B"),
    ),
  );
  const caption = make("caption", { class: "unseen" }, "The cosine of each line's two vectors");
  return make(
    "div",
    {},
    make(
      "dl",
      { class: "figures" },
      figure("Lowest cosine", Math.min(...values).toFixed(5)),
      figure("Mean cosine", mean(values).toFixed(5)),
    ),
    scrolling(
      "The cosine of each line's two vectors",
      make("table", { class: "plain" }, caption, head, make("tbody", {}, ...rows)),
    ),
  );
}

const figure = (name, value) => make("div", {}, make("dt", {}, name), make("dd", {}, value));

const otherSpaces = () =>
  make(
    "p",
    { class: "note" },
    "A cosine between a vector of A and one of B means nothing. Compare which lines each finds alike.",
  );

function agreementText(value, count) {
  if (value === null || count < 3)
    return make("p", { class: "note" }, "With so few different pairs there is nothing to rank; add lines.");
  const pairs = (count * (count - 1)) / 2;
  return make(
    "dl",
    { class: "figures" },
    figure(`Rank correlation of the ${pairs} pairwise cosines (1: the same order)`, cosineText(value, 3)),
  );
}

function topList(side, other, lines, letter) {
  const rows = side.places.slice(0, MOST_RANKED).map((place, rank) => {
    const there = other.places.indexOf(place);
    return {
      text: lines[place],
      score: side.scores[place],
      note: there === rank ? null : `number ${there + 1} for ${letter === "A" ? "B" : "A"}`,
    };
  });
  return make("div", {}, make("h3", {}, `${letter}: ${side.model}`), ranking(rows, `Best lines by ${side.model}`));
}
