// What a panel asks, as a program: for a shell, for Python, for TypeScript. Pure.
//
// A program is a list of steps. A step is a request, {kind, name, ...what it takes}, its kind vectors, rerank or
// tokens; or it is lines of code, {kind: "lines", python, typescript}. `list` is a variable that holds the texts.

const keyShown = () => (access.isWanted ? "YOUR_KEY" : "none");
const quoted = (text) => JSON.stringify(text); // a string in Python too
const indented = (lines) => lines.map((line) => `    ${line}`);

function bodyOf(step) {
  if (step.kind === "vectors") return vectorsBody(step.model, step.texts, step.role);
  if (step.kind === "rerank") return rerankBody(step.model, step.query, step.texts);
  return tokensBody(step.model, step.text, step.role);
}

// ---------------------------------------------------------------------------------------------- shell

const requestsOf = (steps) => steps.filter((step) => step.kind !== "lines");

function curl(steps) {
  return requestsOf(steps).map(curlStep).join("\n\n");
}

function curlStep(step) {
  const body = JSON.stringify(bodyOf(step), null, 2).replaceAll("'", "'\\''");
  const key = access.isWanted ? [`  -H 'authorization: Bearer ${keyShown()}' \\`] : [];
  return [
    `curl ${BASE}${PATHS[step.kind]} \\`,
    ...key,
    "  -H 'content-type: application/json' \\",
    `  -d '${body}'`,
  ].join("\n");
}

// ---------------------------------------------------------------------------------------------- Python

function python(steps) {
  const has = new Set(steps.map((step) => step.kind));
  const posts = has.has("rerank") || has.has("tokens");
  const lines = steps.flatMap(pythonStep);
  const head = [
    ...(lines.some((line) => line.includes("math.")) ? ["import math", ""] : []),
    ...(posts ? ["import httpx"] : []),
    ...(has.has("vectors")
      ? ["from openai import OpenAI", "", `client = OpenAI(base_url="${BASE}/openai/v1", api_key="${keyShown()}")`]
      : []),
    ...(posts && access.isWanted ? ["", `headers = {"authorization": "Bearer ${keyShown()}"}`] : []),
  ];
  return [...head, "", ...lines].join("\n");
}

function pythonStep(step) {
  if (step.kind === "lines") return step.python;
  return step.kind === "vectors" ? pythonVectors(step) : pythonPost(step);
}

function pythonVectors({ name, model, texts, list, role }) {
  const extra = role === "document" ? [] : [`    extra_body={"input_type": ${quoted(role)}},`];
  return [
    `reply = client.embeddings.create(`,
    `    model=${quoted(model)},`,
    `    input=${list ?? JSON.stringify(texts)},`,
    ...extra,
    ")",
    `${name}_vectors = [row.embedding for row in reply.data]`,
    "",
  ];
}

function pythonPost(step) {
  const body = bodyOf(step);
  const fields = Object.entries(body).map(
    ([name, value]) => `${quoted(name)}: ${name === "texts" && step.list ? step.list : JSON.stringify(value)},`,
  );
  return [
    `${step.name} = httpx.post(`,
    `    "${BASE}${PATHS[step.kind]}",`,
    ...(access.isWanted ? ["    headers=headers,"] : []),
    "    json={",
    ...indented(indented(fields)),
    "    },",
    ").raise_for_status().json()",
    "",
  ];
}

// ---------------------------------------------------------------------------------------------- TypeScript

function typescript(steps) {
  const client = [
    'import OpenAI from "openai";',
    "",
    `const client = new OpenAI({ baseURL: "${BASE}/openai/v1", apiKey: "${keyShown()}" });`,
    "",
  ];
  const head = steps.some((step) => step.kind === "vectors") ? client : [];
  return [...head, ...steps.flatMap(typescriptStep)].join("\n");
}

function typescriptStep(step) {
  if (step.kind === "lines") return step.typescript;
  return step.kind === "vectors" ? typescriptVectors(step) : typescriptPost(step);
}

function typescriptVectors({ name, model, texts, list, role }) {
  const isExtra = role !== "document";
  return [
    `const ${name}Reply = await client.embeddings.create({`,
    `  model: ${quoted(model)},`,
    `  input: ${list ?? JSON.stringify(texts)},`,
    ...(isExtra ? [`  input_type: ${quoted(role)},`] : []),
    isExtra ? "} as OpenAI.EmbeddingCreateParams);" : "});",
    `const ${name}Vectors = ${name}Reply.data.map((row) => row.embedding);`,
    "",
  ];
}

function typescriptPost(step) {
  const fields = Object.entries(bodyOf(step)).map(
    ([name, value]) => `${name}: ${name === "texts" && step.list ? step.list : JSON.stringify(value)},`,
  );
  const key = access.isWanted ? `, authorization: "Bearer ${keyShown()}"` : "";
  return [
    `const ${step.name}Reply = await fetch("${BASE}${PATHS[step.kind]}", {`,
    '  method: "POST",',
    `  headers: { "content-type": "application/json"${key} },`,
    "  body: JSON.stringify({",
    ...fields.map((line) => `    ${line}`),
    "  }),",
    "});",
    `const ${step.name} = await ${step.name}Reply.json();`,
    "",
  ];
}

// ---------------------------------------------------------------------------------------------- lines between requests

/** Makes `cosine`. */
const COSINE = {
  kind: "lines",
  python: [
    "",
    "def cosine(a, b):",
    "    return sum(x * y for x, y in zip(a, b)) / math.hypot(*a) / math.hypot(*b)",
    "",
    "",
  ],
  typescript: [
    "const dot = (a: number[], b: number[]) => a.reduce((sum, x, i) => sum + x * b[i], 0);",
    "const cosine = (a: number[], b: number[]) => dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));",
    "",
  ],
};

/** Prints a matrix, a line for each row. */
const matrixLines = (rows, columns) => ({
  kind: "lines",
  python: [
    `for row in ${rows}_vectors:`,
    `    print(*(f"{cosine(row, column):.2f}" for column in ${columns}_vectors))`,
  ],
  typescript: [
    `for (const row of ${rows}Vectors) {`,
    `  console.log(...${columns}Vectors.map((column) => cosine(row, column).toFixed(2)));`,
    "}",
  ],
});

/** Makes `texts`. */
const textsLines = (texts) => ({
  kind: "lines",
  python: ["texts = [", ...indented(texts.map((text) => `${quoted(text)},`)), "]", ""],
  typescript: ["const texts = [", ...texts.map((text) => `  ${quoted(text)},`), "];", ""],
});

/** Makes `found` by `cosine`: pairs of score and text, the best first. */
const FOUND = {
  kind: "lines",
  python: [
    "scores = [cosine(query_vectors[0], vector) for vector in texts_vectors]",
    "found = sorted(zip(scores, texts), reverse=True)",
  ],
  typescript: [
    "const found = texts",
    "  .map((text, i) => ({ score: cosine(queryVectors[0], textsVectors[i]), text }))",
    "  .sort((a, b) => b.score - a.score);",
  ],
};

const printed = (python, typescript) => ({ kind: "lines", python, typescript });

const FOUND_PRINTED = printed(
  ["for score, text in found:", '    print(f"{score:.3f}  {text}")'],
  ["for (const { score, text } of found) console.log(score.toFixed(3), text);"],
);

/** Prints what a reranker gave for the list `texts`. */
const ranksPrinted = (texts) =>
  printed(
    ["for rank in ranks:", `    print(f"{rank['score']:.3f}  {${texts}[rank['index']]}")`],
    [`for (const { index, score } of ranks) console.log(score.toFixed(3), ${texts}[index]);`],
  );
