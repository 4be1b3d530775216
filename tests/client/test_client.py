"""Our own server through the door, the identity of answers, and prompts."""

import asyncio
import json
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from asking import PAIRS, TEXTS, ask, direct, rows, wish

from embedstack.client import Client, unknown_spec
from embedstack.errors import (
    BadRequest,
    DeadlineExceeded,
    Mismatch,
    NotReady,
    TooLong,
    UnknownModel,
    Unsupported,
)
from embedstack.testing.fake import HashEncoder, hash_spec, overlap_spec
from embedstack.types import Classify, Decode, Encode, Image, Link, Pair, Score, Text, Tokenize, Tokens
from support.pictures import picture, saved


def pictures_of(count: int) -> list[bytes]:
    """PNG files, each of another width."""
    return [saved(picture("L", 1 + n, 1), "PNG") for n in range(count)]


PROMPTED = replace(hash_spec(), prompts={"query": "query: ", "document": "passage: "})
BOTH = pytest.mark.parametrize("dialect", ["openai", "tei", "model-worker"])


@BOTH
def test_vectors_from_there_are_the_vectors_from_here(ours, dialect):
    there, here = ask(ours, wish(), dialect=dialect), direct(wish())

    assert np.array_equal(there.dense, here.dense)
    assert there.fingerprint == here.fingerprint


@pytest.mark.parametrize("raw", [False, True])
def test_scores_from_there_are_the_scores_from_here(ours, raw):
    request = Score(model="overlap", items=PAIRS, raw_scores=raw)

    assert ask(ours, request, dialect="tei").scores == pytest.approx(direct(request).scores, rel=1e-6)


def test_a_model_without_an_activation_gives_logits(serve):
    bare = replace(overlap_spec(), score_activation="identity")
    request = Score(model="overlap", items=PAIRS)
    with serve(lambda: HashEncoder([bare])) as url:
        there = ask(url, request, dialect="tei", spec=bare)

    assert there.scores == pytest.approx(direct(request, bare).scores)


@pytest.mark.parametrize(
    "terms", [{"dim": 8}, {"normalize": False}, {"truncate": "left"}, {"role": "query"}, {"role": "none"}]
)
def test_what_is_asked_for_is_asked_there(serve, terms):
    spec = hash_spec(max_tokens=4)
    with serve(lambda: HashEncoder([spec])) as url:
        there = ask(url, wish(**terms), dialect="tei")

    here = direct(wish(**terms), spec)
    assert np.array_equal(there.dense, here.dense)
    assert there.fingerprint == here.fingerprint


@pytest.mark.parametrize("role", ["query", "document", "none"])
@pytest.mark.parametrize("dialect", ["openai", "tei"])
def test_roles_of_a_model_without_prompts_are_left_out(tell, dialect, role):
    reply = rows([1.0] * 32) if dialect == "openai" else [[1.0] * 32]
    told = tell(reply)
    ask(told.url, wish("a", role=role), dialect=dialect, spec=hash_spec(), max_items=1)

    assert not {"input_type", "prompt_name"} & told.seen[-1].body.keys()


@pytest.mark.parametrize(("dialect", "field"), [("openai", "input_type"), ("tei", "prompt_name")])
def test_roles_of_a_model_with_prompts_are_said(tell, dialect, field):
    said = {"x-embedstack-space": PROMPTED.space}
    reply = rows([1.0] * 32) if dialect == "openai" else [[1.0] * 32]
    told = tell((200, said, json.dumps(reply).encode()))
    ask(told.url, wish("a", role="query"), dialect=dialect, spec=PROMPTED, max_items=1)

    assert told.seen[0].body[field] == "query"


def test_texts_of_several_roles_and_pairs_of_several_queries_come_back_in_order(ours):
    mixed = Encode(model="hash", items=tuple(Text(text, role) for text in TEXTS for role in ("query", "document")))
    pairs = Score(model="overlap", items=tuple(Pair(query, text) for text in TEXTS for query in ("a cat", "rain")))

    assert np.array_equal(ask(ours, mixed, dialect="tei").dense, direct(mixed).dense)
    assert ask(ours, pairs, dialect="tei").scores == pytest.approx(direct(pairs).scores, rel=1e-6)


@pytest.mark.slow
@BOTH
def test_many_items_are_several_calls_and_one_answer(serve, dialect):
    request = wish(*(f"text {number}" for number in range(23)))
    with serve(max_items=5) as url:
        there = ask(url, request, dialect=dialect, max_items=5)

    here = direct(request)
    assert np.array_equal(there.dense, here.dense)
    assert there.usage.items == 23
    assert dialect == "model-worker" or there.usage.tokens == here.usage.tokens


def test_usage_counts_what_was_cut_there(serve):
    with serve(lambda: HashEncoder([hash_spec(max_tokens=4)])) as url:
        usage = ask(url, wish("a b c d e f", "a", "a b c d e"), max_items=1).usage

    assert (usage.items, usage.truncated, usage.dropped) == (3, 2, 3)


@BOTH
@pytest.mark.parametrize("dim", [None, 8])
def test_no_items_are_no_call(dialect, dim):
    if dialect == "model-worker":
        dim = None  # it knows no widths
    answer = ask("http://127.0.0.1:9", Encode(model="hash", items=(), dim=dim), dialect=dialect, spec=hash_spec())

    assert answer.dense.shape == (0, dim or 32)


def test_no_pairs_are_no_call():
    assert ask("http://127.0.0.1:9", Score(model="", items=()), dialect="tei").scores.shape == (0,)


@pytest.mark.parametrize(
    ("dialect", "request_", "said"),
    [
        ("openai", wish(normalize=False), "normalize=False"),
        ("openai", wish(truncate="left"), "truncate='left'"),
        ("openai", wish(outputs=frozenset({"sparse", "dense"})), r"outputs=\['dense', 'sparse'\]"),
        ("tei", wish(max_tokens=8), "max_tokens=8"),
        ("tei", wish(whole=True), "whole=True"),
        ("model-worker", wish(role="query"), "role='query'"),
        ("openai", Score(model="overlap", items=PAIRS), "'rerank'; use tei"),
    ],
)
def test_what_the_dialect_cannot_carry_is_refused_without_a_call(dialect, request_, said):
    with pytest.raises(Unsupported, match=said):
        ask("http://127.0.0.1:9", request_, dialect=dialect)


@pytest.mark.parametrize(
    ("request_", "kind"),
    [
        (wish("a" * 1_000_001), TooLong),
        (wish(dim=5), Unsupported),
        (replace(wish(), model="nothing"), UnknownModel),
        (wish(""), BadRequest),
    ],
)
def test_an_error_from_there_is_the_same_error_here_and_names_the_endpoint(ours, request_, kind):
    with pytest.raises(kind, match=ours):
        ask(ours, request_)


def test_a_server_that_is_still_loading_is_not_ready(serve):
    class Loading(HashEncoder):
        async def encode(self, request):
            raise NotReady("still loading")

    with serve(Loading) as url, pytest.raises(NotReady, match="still loading"):
        ask(url, wish(), retries=1)


def test_a_cancelled_call_is_cancelled_there(serve):
    began, ended = threading.Event(), threading.Event()

    class Endless(HashEncoder):
        async def encode(self, request):
            began.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

    async def run(url: str) -> None:
        async with Client(url) as client:
            call = asyncio.ensure_future(client.encode(wish()))
            await asyncio.to_thread(began.wait, 20)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call

    with serve(Endless) as url:
        asyncio.run(run(url))
        assert ended.wait(20)


@pytest.mark.slow
def test_a_deadline_ends_the_call(serve):
    class Slow(HashEncoder):
        async def encode(self, request):
            await asyncio.Event().wait()

    with serve(Slow) as url:
        began = time.monotonic()
        with pytest.raises(DeadlineExceeded, match="deadline"):
            ask(url, wish(deadline=began + 0.5))

    assert time.monotonic() - began < 10


def test_a_deadline_that_has_passed_sends_nothing():
    with pytest.raises(DeadlineExceeded, match="before"):
        ask("http://127.0.0.1:9", wish(deadline=time.monotonic() - 1))


def test_deadline_priority_and_caller_arrive(serve):
    seen = []

    class Watched(HashEncoder):
        async def encode(self, request):
            seen.append(request)
            return await super().encode(request)

    deadline = time.monotonic() + 1000
    with serve(Watched) as url:
        ask(url, wish(priority="bulk", caller="jobs/7", deadline=deadline), timeout_s=2000)

    assert [(one.priority, one.caller) for one in seen] == [("bulk", "jobs/7")]
    assert seen[0].deadline == pytest.approx(deadline, abs=20)


# ------------------------------------------------------------------------------------------------ identity


def test_the_expected_spec_is_the_spec_of_the_answer(ours):
    answer = ask(ours, wish(), spec=hash_spec())

    assert answer.spec == hash_spec()
    assert answer.fingerprint == hash_spec().fingerprint("float32")


def test_another_space_is_refused_with_both(ours):
    expected = replace(hash_spec(), pooling="cls")
    with pytest.raises(Mismatch) as caught:
        ask(ours, wish(), spec=expected)

    assert hash_spec().space in caught.value.message
    assert expected.space in caught.value.message


def test_another_width_is_refused_with_both(tell):
    with pytest.raises(Mismatch, match="are 3 numbers wide and 32 were expected"):
        ask(tell(rows([1.0, 2.0, 3.0])).url, wish("a"), spec=hash_spec())


def test_a_server_that_overlooks_the_width_is_refused(tell):
    with pytest.raises(Mismatch, match="are 3 numbers wide and 2 were expected"):
        ask(tell(rows([1.0, 2.0, 3.0])).url, wish("a", dim=2))


def test_of_a_foreign_server_the_fingerprint_is_unknown(tell):
    answer = ask(tell(rows([1.0] * 32)).url, wish("a"), spec=hash_spec())

    assert (answer.spec, answer.fingerprint) == (hash_spec(), "")


def test_a_model_that_nobody_knows_is_of_a_space_of_its_own(tell):
    urls = [tell(rows([1.0, 2.0])).url for _ in range(2)]
    here, again, elsewhere = (ask(url, wish("a")).spec for url in (urls[0], urls[0], urls[1]))

    assert here.space == again.space
    assert len({here.space, elsewhere.space, hash_spec().space}) == 3
    assert (here.architecture.family, here.dim) == ("unknown", 2)


def test_a_claimed_space_is_carried_and_is_not_the_space_of_the_known_model(ours, serve):
    with serve() as other:
        here, there = ask(ours, wish()).spec, ask(other, wish()).spec

    assert here.space == there.space != hash_spec().space
    assert hash_spec().space in here.weights


def test_unknown_models_differ_by_host_name_and_claim():
    specs = [unknown_spec("h", "m", 2), unknown_spec("g", "m", 2), unknown_spec("h", "n", 2)]
    specs += [unknown_spec("h", "m", 2, space=claim * 32) for claim in "ab"]

    assert len({spec.space for spec in specs}) == 5


def test_parts_of_one_request_must_be_of_one_fingerprint(tell):
    def headers(digit):
        return {"x-embedstack-space": "a" * 32, "x-embedstack-fingerprint": digit * 32}

    reply = b'{"data":[{"embedding":[1.0],"index":0}]}'
    told = tell((200, headers("b"), reply), (200, headers("c"), reply))

    with pytest.raises(Mismatch, match="different fingerprints"):
        ask(told.url, wish("a", "b"), max_items=1)


def test_models_are_what_was_expected_or_what_answered(ours):
    async def run() -> list[tuple]:
        async with Client(ours, spec=hash_spec()) as knows, Client(ours) as learns:
            before = learns.models()
            answer = await learns.encode(wish())
            return [knows.models(), before, learns.models(), (answer.spec,)]

    known, before, after, answered = asyncio.run(run())
    assert (known, before) == ((hash_spec(),), ())
    assert after == answered


@pytest.mark.parametrize("options", [{"model": "there"}, {"spec": hash_spec("here")}])
def test_a_client_for_one_model_refuses_another_name(options):
    with pytest.raises(UnknownModel, match="'hash' is not what this client is for"):
        ask("http://127.0.0.1:9", wish(), **options)


def test_the_endpoints_own_name_for_the_model_is_sent(tell):
    told = tell(rows([1.0] * 32))
    ask(told.url, wish("a"), model="there", spec=hash_spec())

    assert told.seen[0].body["model"] == "there"


# ------------------------------------------------------------------------------------------------ prompts


@pytest.mark.parametrize(
    ("role", "options"), [("query", {}), ("query", {"spec": PROMPTED}), ("document", {"spec": PROMPTED})]
)
def test_a_prompt_that_a_foreign_server_may_overlook_is_an_error(tell, role, options):
    with pytest.raises(Unsupported, match=f"may overlook the role '{role}'"):
        ask(tell(rows([1.0] * 32)).url, wish("a", role=role), **options)


def test_prompts_can_be_put_in_front_here(tell):
    told = tell(rows([1.0] * 32))
    for role in ("query", "document", "none"):
        ask(told.url, wish("a", role=role), spec=PROMPTED, prompts_here=True)

    assert [seen.body["input"] for seen in told.seen] == [["query: a"], ["passage: a"], ["a"]]
    assert not any("input_type" in seen.body for seen in told.seen)


def test_prompts_here_and_there_are_an_error(serve):
    with serve(lambda: HashEncoder([PROMPTED])) as url, pytest.raises(Unsupported, match="leave prompts_here out"):
        ask(url, wish(), spec=PROMPTED, prompts_here=True)


def test_a_role_that_the_model_has_not_is_refused():
    with pytest.raises(BadRequest, match="no role 'title'; use one of: document, none, query"):
        ask("http://127.0.0.1:9", wish(role="title"), spec=PROMPTED, prompts_here=True)


@pytest.mark.parametrize(
    ("method", "request_", "what"),
    [
        ("classify", Classify(model="", items=(Text("a cat"),)), "classify texts"),
        ("tokens", Tokenize(model="", items=(Text("a cat"),)), "show tokens"),
        ("decode", Decode(model="", items=(Tokens((1,)),)), "decode tokens"),
    ],
)
def test_what_no_dialect_asks_for_is_refused_by_its_name(method, request_, what):
    client = Client("http://127.0.0.1:9", dialect="tei")

    with pytest.raises(Unsupported, match=f"the dialect 'tei' cannot ask an endpoint to {what}"):
        asyncio.run(getattr(client, method)(request_))


@pytest.mark.parametrize(
    ("request_", "what"),
    [
        (Encode(model="hash", items=(Image(b"GIF89a"), Text("a"))), "item 1 is a text among images"),
        (Encode(model="hash", items=(Link("https://example.org/a.png"),)), "cannot carry images; use model-worker"),
        (Encode(model="hash", items=(Text("a"),), late_chunking=True), "cannot carry late_chunking=True"),
    ],
)
def test_what_no_body_has_words_for_is_not_left_out_silently(request_, what):
    with pytest.raises(Unsupported, match=what):
        ask("http://127.0.0.1:9", request_, dialect="tei")


SEES = hash_spec(inputs=("text", "image"))


@pytest.mark.parametrize("dialect", ["model-worker", "ml-service"])
def test_vectors_of_images_from_there_are_those_from_here(serve, dialect):
    request = Encode(model="hash", items=tuple(Image(data) for data in pictures_of(3)))
    with serve(lambda: HashEncoder([SEES])) as url:
        there = ask(url, request, dialect=dialect)

    assert np.array_equal(there.dense, direct(request, SEES).dense)


def test_images_over_a_servers_limit_are_sent_in_several_calls_and_come_back_in_order(serve):
    request = Encode(model="hash", items=tuple(Image(data) for data in pictures_of(5)))
    with serve(lambda: HashEncoder([SEES])) as url:
        there = ask(url, request, dialect="model-worker", max_items=2)

    assert np.array_equal(there.dense, direct(request, SEES).dense)


@pytest.mark.parametrize("what", [Text("a"), Image(b"\x89PNG")])
def test_no_more_items_are_sent_to_a_model_worker_than_the_original_takes(tell, what):
    server = tell({"embeddings": [[1.0, 0.0]] * 16, "metadata": {}}, {"embeddings": [[0.0, 1.0]] * 4, "metadata": {}})
    answer = ask(server.url, Encode(model="m", items=(what,) * 20), dialect="model-worker")

    sent = [next(value for value in seen.body.values() if isinstance(value, list)) for seen in server.seen]
    assert [len(one) for one in sent] == [16, 4]
    assert answer.dense.tolist() == [[1.0, 0.0]] * 16 + [[0.0, 1.0]] * 4


def test_a_link_is_sent_as_it_is(tell):
    server = tell({"embeddings": [[1.0, 0.0]], "metadata": {}})
    ask(server.url, Encode(model="m", items=(Link("https://example.org/a.png"),)), dialect="model-worker")

    assert server.seen[0].body["images"] == ["https://example.org/a.png"]


def test_late_chunks_from_there_are_those_from_here(ours):
    request = wish(late_chunking=True, normalize=True)
    there = ask(ours, request, dialect="jina")

    assert np.array_equal(there.dense, direct(request).dense)
    assert there.fingerprint != ask(ours, wish(normalize=True), dialect="jina").fingerprint


def test_parts_of_one_text_are_never_sent_in_two_calls(ours):
    with pytest.raises(Unsupported, match="late chunking reads all parts together, and one call takes 2"):
        ask(ours, wish(late_chunking=True), dialect="jina", max_items=2)


def test_kriptiks_service_is_asked_for_texts_of_a_type_or_of_a_model(tell):
    told = tell({"success": True, "data": {"embeddings": [[1.0, 0.0]], "tokensUsed": 3}})
    answer = ask(told.url, Encode(model="code", items=(Text("a"),)), dialect="kriptik")
    ask(told.url, Encode(model="bge-m3", items=(Text("a"),), dim=2), dialect="kriptik")

    assert (answer.dense.tolist(), answer.usage.tokens) == ([[1.0, 0.0]], 3)
    assert [seen.body for seen in told.seen] == [
        {"content": ["a"], "type": "code"},
        {"content": ["a"], "type": "intent", "model": "bge-m3", "options": {"dimensions": 2}},
    ]
