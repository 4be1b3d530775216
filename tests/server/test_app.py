"""Good requests through the app, around the fake encoder."""

import base64
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embedstack.modelspec import ModelSpec
from embedstack.testing.fake import HashEncoder, hash_spec
from embedstack.types import Encode, Encoded, Text

pytestmark = pytest.mark.anyio
PAIRS = sorted((Path(__file__).parent.parent / "wire").glob("*.json"))
ROOTED = [
    path for path in PAIRS if json.loads(path.read_text()).get("root", True)
]  # others differ there, see serving.md
CASES = [*((path, False) for path in ROOTED), *((path, True) for path in PAIRS)]


def encoder_for(pair: dict[str, object]) -> Callable[[], HashEncoder]:
    """With the models that the pair names and what they take; else with those of the fake."""
    specs = [hash_spec(name, inputs=tuple(inputs)) for name, inputs in pair.get("models", {}).items()]
    return lambda: HashEncoder(specs)


def assert_shape(value: object, shape: object, at: str = "$") -> None:
    """Equal, except that `<number>` and the like stand for a type, and `<8 numbers>` for a vector of that width."""
    match shape:
        case "<number>":
            assert isinstance(value, float), at
        case str() if vector := re.fullmatch(r"<(\d+) numbers>", shape):
            assert_shape(value, ["<number>"] * int(vector[1]), at)
        case "<integer>":
            assert type(value) is int, at
        case "<string>":
            assert isinstance(value, str), at
            assert value, at
        case dict():
            assert isinstance(value, dict), at
            assert value.keys() == shape.keys(), at
            for key, inner in shape.items():
                assert_shape(value[key], inner, f"{at}.{key}")
        case list():
            assert isinstance(value, list), at
            assert len(value) == len(shape), at
            for index, (one, inner) in enumerate(zip(value, shape, strict=True)):
                assert_shape(one, inner, f"{at}[{index}]")
        case _:
            assert value == shape, at


@pytest.mark.parametrize(
    ("path", "prefixed"), CASES, ids=lambda case: getattr(case, "stem", "prefix" if case else "root")
)
async def test_the_reply_has_the_shape_of_the_original(serve, path, prefixed):
    pair = json.loads(path.read_text())
    url = f"/{pair['dialect']}{pair['path']}" if prefixed else pair["path"]
    async with serve(encoder_for(pair)) as client:
        reply = await client.request(pair["method"], url, json=pair["body"])

    assert reply.status_code == pair["status"]
    assert pair["origin"]
    assert_shape(reply.json(), pair["reply"])


# what is another one in every reply
CHANGING = {
    "id",
    "created",
    "timestamp",
    "lastChecked",
    "duration",
    "latencyMs",
    "delayTime",
    "executionTime",
    "uptime",
}


def lasting(value: object, shape: object) -> object:
    """What must be the same in two replies of a shape: all but the values under the names above that have no value."""
    match shape:
        case dict():
            kept = [name for name in shape if name not in CHANGING or shape[name] not in ("<string>", "<integer>")]
            return {name: lasting(value[name], shape[name]) for name in kept}
        case list():
            return [lasting(*one) for one in zip(value, shape, strict=True)]
        case _:
            return value


@pytest.mark.parametrize("path", ROOTED, ids=lambda path: path.stem)
async def test_the_root_gives_the_very_rows_of_the_prefix(serve, path):
    pair = json.loads(path.read_text())
    async with serve(encoder_for(pair)) as client:
        urls = pair["path"], f"/{pair['dialect']}{pair['path']}"
        replies = [(await client.request(pair["method"], url, json=pair["body"])).json() for url in urls]

    root, prefixed = (lasting(reply, pair["reply"]) for reply in replies)
    assert root == prefixed


@pytest.mark.parametrize(
    ("value", "shape"), [([1.0], ["<number>"] * 2), ([[1.0]], ["<2 numbers>"]), ([], ["<number>"])]
)
def test_a_list_of_another_length_is_of_another_shape(value, shape):
    with pytest.raises(AssertionError):
        assert_shape(value, shape)


async def test_float_and_base64_are_the_same_vectors_in_input_order(serve):
    texts = ["a", "b", "a b"]
    expected = (await HashEncoder().encode(Encode(model="hash", items=tuple(Text(text) for text in texts)))).dense
    async with serve() as client:
        asked = [{"input": texts, "encoding_format": form} for form in ("float", "base64")]
        floats, packed = [(await client.post("/v1/embeddings", json=body)).json()["data"] for body in asked]

    assert np.array_equal(np.array([row["embedding"] for row in floats], np.float32), expected)
    assert np.array_equal(np.stack([unpacked(row["embedding"]) for row in packed]), expected)
    assert [row["index"] for row in floats] == [0, 1, 2]


def unpacked(text):
    return np.frombuffer(base64.b64decode(text), "<f4")


async def test_usage_counts_tokens(serve):
    async with serve() as client:
        reply = await client.post("/v1/embeddings", json={"input": ["one two three", "four"]})

    assert reply.json()["usage"] == {"prompt_tokens": 4, "total_tokens": 4}


async def test_truncation_and_identity_are_headers(serve):
    spec = hash_spec(max_tokens=4)
    async with serve(lambda: HashEncoder([spec])) as client:
        reply = await client.post("/v1/embeddings", json={"input": ["a b c d e f", "a"], "dimensions": 8})

    seen = {name: reply.headers[f"x-embedstack-{name}"] for name in ("truncated", "dropped-tokens", "model", "space")}
    assert seen == {"truncated": "1", "dropped-tokens": "2", "model": "hash", "space": spec.space}
    assert reply.headers["x-embedstack-fingerprint"] == spec.fingerprint("float32", 8)


async def test_a_big_reply_is_written_aside_and_is_whole(serve):
    spec = hash_spec(dim=1024)
    async with serve(lambda: HashEncoder([spec])) as client:
        reply = await client.post("/embed", json={"inputs": ["a"] * 100})

    assert np.array(reply.json()).shape == (100, 1024)


@pytest.mark.parametrize(
    ("url", "body"),
    [
        ("/cohere/v2/embed", {"texts": ["a cat"], "input_type": "clustering"}),
        ("/jina/v1/embeddings", {"input": "a cat", "task": "text-matching"}),
        ("/tei/embed", {"inputs": "a cat", "prompt_name": "query"}),
    ],
)
async def test_vectors_do_not_depend_on_how_the_models_name_is_spelled(serve, url, body):
    async with serve(Aliased) as client:
        replies = [await client.post(url, json={**body, "model": name}) for name in ("hash", "other")]

    own, alias = (re.search(r"\[-?\d[^\]]*", reply.text)[0] for reply in replies)
    assert own == alias


async def test_an_alias_names_its_model_on_its_page_too(serve):
    async with serve(Aliased) as client:
        embedded = await client.post("/v1/embeddings", json={"input": "a cat", "model": "other"})
        shown = await client.get("/v1/models/other")

    assert embedded.json()["model"] == "hash"
    assert (shown.status_code, shown.json()["id"]) == (200, "hash")


class Aliased(HashEncoder):
    """Answers to one name more."""

    def spec_of(self, name: str) -> ModelSpec | None:
        return {**{spec.name: spec for spec in self.models()}, "other": hash_spec()}.get(name)

    async def encode(self, request: Encode) -> Encoded:
        spec = self.spec_of(request.model)
        return await super().encode(replace(request, model=spec.name if spec else request.model))


async def test_without_aliases_a_page_knows_the_exact_names(serve):
    async with serve() as client:
        statuses = [(await client.get(f"/v1/models/{name}")).status_code for name in ("hash", "other")]

    assert statuses == [200, 404]
