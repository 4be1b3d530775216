"""The `openai` package, at the root's `/v1`."""

import openai
from seen import EMBEDDER, KEY, LONG, MANY, TEXTS, URL, report, see, see_async

BASE = f"{URL}/v1"
client = openai.OpenAI(base_url=BASE, api_key=KEY, max_retries=0)
stranger = openai.OpenAI(base_url=BASE, api_key="wrong", max_retries=0)


def embed(texts, by=client, **more):
    return by.embeddings.create(model=EMBEDDER, input=texts, **more)


def rows(reply):
    return [row.embedding for row in sorted(reply.data, key=lambda row: row.index)]


def cut_texts():
    raw = client.embeddings.with_raw_response.create(model=EMBEDDER, input=[LONG, "a"])
    return raw.headers["x-embedstack-truncated"]


async def asynchronously():
    async with openai.AsyncOpenAI(base_url=BASE, api_key=KEY) as client:
        return rows(await client.embeddings.create(model=EMBEDDER, input=TEXTS))


see("texts", lambda: rows(embed(TEXTS)))  # as base64: the package's default
see("floats", lambda: rows(embed(TEXTS, encoding_format="float")))
see("many", lambda: rows(embed(MANY)))
see("one text", lambda: rows(embed(LONG)))
see("cut texts", cut_texts)
see("usage", lambda: embed(TEXTS).usage.prompt_tokens)
see("models", lambda: [model.id for model in client.models.list()])
see_async("async", asynchronously)
see("at /openai/v1", lambda: rows(embed(TEXTS, by=client.with_options(base_url=f"{URL}/openai/v1"))))
see("dimensions", lambda: rows(embed(TEXTS, dimensions=64)))
see("no texts", lambda: rows(embed([])))
see("wrong key", lambda: stranger.embeddings.create(model=EMBEDDER, input="a"))
see("wrong model", lambda: client.embeddings.create(model="text-embedding-nothing", input="a"))
report()
