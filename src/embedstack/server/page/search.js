// A query and lines to the lines that mean most alike, optionally ordered again by a reranker.

const MOST_RERANKED = 20; // of the best lines

async function search({ model, reranker, query, texts }, options) {
  mustBeServed(model, "embedding model", "embedstack serve all-MiniLM-L6-v2");
  const lines = linesOf(texts);
  mustHave(lines, 1, "Lines to search");
  const [asked, known] = await Promise.all([
    vectorsOf(model, [query], "query", options),
    vectorsOf(model, lines, "document", options),
  ]);
  const scores = cosines(asked.vectors, known.vectors)[0];
  const places = order(scores);
  const warnings = [cutWarning(asked.reply, "query"), cutWarning(known.reply, "line")];
  const made = [madeBy(asked.reply, "Query"), madeBy(known.reply, "Lines")];
  if (reranker) return reranked({ reranker, query, lines, scores, places, warnings, made }, options);
  const rows = places.map((place) => ({ text: lines[place], score: scores[place] }));
  return {
    said: `${plural(lines.length, "line")} by cosine. Best: ${rows[0].text}`,
    nodes: [...warnings, ranking(rows, "Lines, the best first"), ...made],
  };
}

async function reranked({ reranker, query, lines, scores, places, warnings, made }, options) {
  const best = places.slice(0, MOST_RERANKED);
  const { scores: relevance, reply } = await scoresOf(
    reranker,
    query,
    best.map((place) => lines[place]),
    options,
  );
  const rows = order(relevance).map((rank) => ({
    text: lines[best[rank]],
    score: relevance[rank],
    note: `cosine ${cosineText(scores[best[rank]], 3)}, was number ${rank + 1}`,
  }));
  const left = places.length - best.length;
  const rest = left ? `; ${left} more are not shown` : "";
  return {
    said: `The best ${plural(best.length, "line")} by cosine, reranked${rest}. Best: ${rows[0].text}`,
    nodes: [
      ...warnings,
      cutWarning(reply, "pair"),
      ranking(rows, "Lines, the best first"),
      ...made,
      madeBy(reply, "Reranking"),
    ],
  };
}

function searchCode({ model, reranker, query, texts }) {
  const lines = linesOf(texts);
  const steps = [
    textsLines(lines),
    { kind: "vectors", name: "query", model, texts: [query], role: "query" },
    { kind: "vectors", name: "texts", model, texts: lines, list: "texts", role: "document" },
    COSINE,
    FOUND,
  ];
  if (!reranker) return [...steps, FOUND_PRINTED];
  const best = printed(
    [`best = [text for _, text in found[:${MOST_RERANKED}]]`, ""],
    [`const best = found.slice(0, ${MOST_RERANKED}).map(({ text }) => text);`, ""],
  );
  const rerank = {
    kind: "rerank",
    name: "ranks",
    model: reranker,
    query,
    texts: lines.slice(0, MOST_RERANKED),
    list: "best",
  };
  return [...steps, best, rerank, ranksPrinted("best")];
}
