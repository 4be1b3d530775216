// A query and documents to the documents by their relevance.

const RERANKER_EXAMPLE = "embedstack serve all-MiniLM-L6-v2 bge-reranker-v2-m3";

async function rerank({ model, query, texts }, options) {
  mustBeServed(model, "reranker", RERANKER_EXAMPLE);
  const lines = linesOf(texts);
  mustHave(lines, 1, "Documents");
  const { scores, reply } = await scoresOf(model, query, lines, options);
  const rows = order(scores).map((place) => ({ text: lines[place], score: scores[place], note: `line ${place + 1}` }));
  return {
    said: `${plural(lines.length, "document")} by relevance. Best: ${rows[0].text}`,
    nodes: [cutWarning(reply, "pair"), ranking(rows, "Documents, the most relevant first"), madeBy(reply)],
  };
}

const rerankCode = ({ model, query, texts }) => [
  textsLines(linesOf(texts)),
  { kind: "rerank", name: "ranks", model, query, texts: linesOf(texts), list: "texts" },
  ranksPrinted("texts"),
];
