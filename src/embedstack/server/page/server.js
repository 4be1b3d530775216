// Questions to the server that gave this page; its answer with the headers, or its error in its own words.

const BASE = new URL(".", location.href).href.replace(/\/$/, "");
const LONGEST_WAIT_S = 120; // for a model that is being loaded
const access = { key: "", isWanted: false, onWanted: () => {} };
const lastCall = { path: "", took_ms: null, status: null };

class ServerError extends Error {
  constructor(message, status, requestId) {
    super(message);
    this.status = status;
    this.requestId = requestId;
  }
}

/** A POST if there is a body, else a GET: {data, headers, took_ms}.
 *
 * A model that is being loaded is waited for, and `onWait` is told the server's reason meanwhile.
 */
async function call(path, { body, signal, onWait = () => {}, wait_s = LONGEST_WAIT_S, isText = false } = {}) {
  const until = performance.now() + wait_s * 1000;
  for (;;) {
    const began = performance.now();
    const reply = await sent(path, body, signal);
    if (body) Object.assign(lastCall, { path, took_ms: performance.now() - began, status: reply.status });
    if (reply.ok)
      return {
        data: await (isText ? reply.text() : reply.json()),
        headers: reply.headers,
        took_ms: performance.now() - began,
      };
    const error = await failure(reply);
    const pause_s = Number(reply.headers.get("retry-after"));
    if (reply.status !== 503 || !pause_s || performance.now() + pause_s * 1000 > until) throw error;
    onWait(error.message);
    await pause(pause_s, signal);
  }
}

async function sent(path, body, signal) {
  const headers = body ? { "content-type": "application/json" } : {};
  if (access.key) headers.authorization = `Bearer ${access.key}`;
  const ask = {
    method: body ? "POST" : "GET",
    headers,
    body: body && JSON.stringify(body),
    signal,
    cache: "no-store",
    credentials: "omit",
  };
  try {
    return await fetch(BASE + path, ask);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError("The server cannot be reached. Is it still running?", 0, "");
  }
}

/** The error in an envelope of any dialect. */
async function failure(reply) {
  const text = await reply.text();
  let said = {};
  try {
    said = JSON.parse(text);
  } catch {
    said = { message: text.slice(0, 300) };
  }
  const inner = said && typeof said.error === "object" && said.error ? said.error : said;
  const message =
    inner.message || inner.error || inner.detail || `The server answered ${reply.status} and gave no reason.`;
  if (reply.status === 401 || reply.status === 403) access.onWanted();
  return new ServerError(String(message), reply.status, reply.headers.get("x-request-id") || "");
}

const pause = (seconds, signal) =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("no longer wanted", "AbortError"));
    });
  });

// What is asked of it. Under a dialect's prefix its shapes are exact, whatever stands at the root.

const PATHS = { vectors: "/openai/v1/embeddings", rerank: "/tei/rerank", tokens: "/tei/tokenize" };

/** The body of a request for vectors. A document is what a text is anyway. */
const vectorsBody = (model, input, role) => ({ model, input, ...(role === "document" ? {} : { input_type: role }) });

const rerankBody = (model, query, texts) => ({ query, texts, model });

const tokensBody = (model, text, role) => ({
  inputs: [text],
  model,
  ...(role === "none" ? {} : { prompt_name: role }),
});

/** Vectors of texts: {vectors, reply}. */
async function vectorsOf(model, texts, role, options) {
  const reply = await call(PATHS.vectors, {
    ...options,
    body: { ...vectorsBody(model, texts, role), encoding_format: "float" },
  });
  return { vectors: reply.data.data.map((row) => row.embedding), reply };
}

/** Scores in the order of the texts: {scores, reply}. */
async function scoresOf(model, query, texts, options) {
  const reply = await call(PATHS.rerank, { ...options, body: rerankBody(model, query, texts) });
  const scores = new Array(texts.length);
  for (const { index, score } of reply.data) scores[index] = score;
  return { scores, reply };
}
