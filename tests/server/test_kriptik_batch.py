"""A batch of KripTik's over several models and projects, through the app: what is booked, said and refused."""

import asyncio

import pytest

from embedstack.testing.fake import HashEncoder, hash_spec
from embedstack.types import Encode, Encoded

pytestmark = pytest.mark.anyio
PATH = "/kriptik/api/embeddings/batch"
STATS = "/kriptik/api/embeddings/stats"
ADMIN = "an-admin-secret-of-some-length"
KEY = "a-secret-of-some-length"
BGE, CODE = hash_spec("bge-m3"), hash_spec("code", dim=16)
TEXTS = [("p1", "intent", "a b"), ("p2", "intent", "c"), ("p1", "code", "d e f"), ("p1", "intent", "g")]
MODELS = {"intent": {"model": "bge-m3"}, "code": {}}  # one is served under its type's name
BODY = {"requests": [{"content": text, "type": kind, "projectId": name, **MODELS[kind]} for name, kind, text in TEXTS]}


class Watched(HashEncoder):
    """Notes how many requests it has in hand at once."""

    def __init__(self) -> None:
        super().__init__((BGE, CODE))
        self.in_hand = self.most = self.asked = 0

    async def encode(self, request: Encode) -> Encoded:
        self.asked += 1
        self.in_hand += 1
        self.most = max(self.most, self.in_hand)
        await asyncio.sleep(0)
        self.in_hand -= 1
        return await super().encode(request)


async def test_each_project_is_booked_what_its_own_requests_took(serve):
    async with serve(Watched, admin_key=ADMIN) as client:
        data = (await client.post(PATH, json=BODY)).json()["data"]
        callers = (await client.get(STATS, headers={"x-api-key": ADMIN})).json()["data"]["callers"]

    of_p1 = [one for one, (name, *_) in zip(data["results"], TEXTS, strict=True) if name == "p1"]
    assert [one["tokensUsed"] for one in data["results"]] == [2, 1, 3, 1]
    assert {name: (one["requests"], one["items"], one["tokens"]) for name, one in callers.items()} == {
        "p1": (1, 3, 6), "p2": (1, 1, 1)
    }  # fmt: skip
    assert callers["p1"]["creditsCost"] == pytest.approx(sum(one["creditsCost"] for one in of_p1))
    assert callers["p1"]["creditsCost"] > 0
    assert sum(one["creditsCost"] for one in callers.values()) == pytest.approx(data["totals"]["creditsCost"])


async def test_under_a_key_all_is_one_request_of_its_holder(serve):
    async with serve(Watched, api_keys=f"alice:{KEY}") as client:
        await client.post(PATH, json=BODY, headers={"x-api-key": KEY})
        callers = (await client.get(STATS, headers={"x-api-key": KEY})).json()["data"]["callers"]

    assert {name: (one["requests"], one["items"]) for name, one in callers.items()} == {"alice": (1, 4)}


async def test_a_batch_that_fails_fails_for_each_of_its_projects(serve):
    async with serve(Watched, admin_key=ADMIN) as client:
        reply = await client.post(PATH, json=BODY, headers={"x-embedstack-timeout-s": "1e-9"})
        callers = (await client.get(STATS, headers={"x-api-key": ADMIN})).json()["data"]["callers"]

    assert (reply.status_code, reply.json()["code"]) == (504, "BATCH_FAILED")
    assert {name: (one["requests"], one["failures"]) for name, one in callers.items()} == {"p1": (1, 1), "p2": (1, 1)}


async def test_its_requests_wait_for_each_other_since_at_once_they_would_be_refused_for_their_wait(serve):
    encoder = Watched()
    async with serve(lambda: encoder) as client:
        await client.post(PATH, json=BODY)

    assert (encoder.asked, encoder.most) == (3, 1)


async def test_headers_name_each_model_once(serve):
    async with serve(Watched) as client:
        two = await client.post(PATH, json=BODY)
        one = await client.post(PATH, json={"requests": BODY["requests"][:2]})

    assert two.headers["x-embedstack-model"] == "bge-m3, code"
    assert one.headers["x-embedstack-model"] == "bge-m3"
    assert one.headers["x-embedstack-space"] == BGE.space


async def test_a_text_that_is_refused_is_named_by_its_place_in_the_body(serve):
    requests = [*BODY["requests"], {"content": "long " * 600, "type": "code", "projectId": "p1"}]
    async with serve(Watched, truncate="refuse") as client:
        reply = await client.post(PATH, json={"requests": requests})

    assert reply.status_code == 413
    assert reply.json()["error"].startswith("text 4 has 600 tokens")
