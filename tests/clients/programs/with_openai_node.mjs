// The npm package `openai`, at the root's `/v1`.
import { readFileSync } from "node:fs";
import OpenAI from "openai";

const baseURL = `${process.env.SERVER_URL}/v1`;
const { embedder, texts, many, long } = JSON.parse(readFileSync(process.env.CASES, "utf8"));
const client = new OpenAI({ baseURL, apiKey: process.env.SERVER_KEY, maxRetries: 0 });
const stranger = new OpenAI({ baseURL, apiKey: "wrong", maxRetries: 0 });
const seen = {};

function kinds(error) {
  const names = [];
  for (let kind = error?.constructor; kind?.name; kind = Object.getPrototypeOf(kind)) names.push(`openai.${kind.name}`);
  return names;
}

async function see(check, call) {
  try {
    seen[check] = { value: await call() };
  } catch (error) {
    seen[check] = { error: kinds(error), message: String(error.message).slice(0, 500) };
  }
}

const embed = (input, more = {}) => client.embeddings.create({ model: embedder, input, ...more });
const rows = (reply) => reply.data.map((row) => Array.from(row.embedding));

await see("texts", async () => rows(await embed(texts))); // as base64: the package's default
await see("floats", async () => rows(await embed(texts, { encoding_format: "float" })));
await see("many", async () => rows(await embed(many)));
await see("one text", async () => rows(await embed(long[0])));
await see("cut texts", async () => {
  const { response } = await embed([long[0], "a"]).withResponse();
  return response.headers.get("x-embedstack-truncated");
});
await see("usage", async () => (await embed(texts)).usage.prompt_tokens);
await see("models", async () => (await client.models.list()).data.map((model) => model.id));
await see("dimensions", () => embed(texts, { dimensions: 64 }));
await see("no texts", () => embed([]));
await see("wrong key", () => stranger.embeddings.create({ model: embedder, input: "a" }));
await see("wrong model", () => client.embeddings.create({ model: "text-embedding-nothing", input: "a" }));
console.log(JSON.stringify(seen));
