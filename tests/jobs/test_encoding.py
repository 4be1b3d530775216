"""Documents become vectors; those that cannot are found and left out."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embedstack.errors import BadRequest, EmbedstackError, Mismatch, NotReady, RuntimeFailed, TooLong, Upstream
from embedstack.jobs.encoding import Asking, Known, ShardEncoder, bad_rows
from embedstack.jobs.shard_work import Made, Work
from embedstack.jobs.since import Reused
from embedstack.testing.fake import HashEncoder, hash_spec
from embedstack.types import Encode, Encoded, Text
from support.small_job import quick_patience, small_job

Rule = Callable[[Encode], BaseException | None]


class Strict(HashEncoder):
    """Fails where a rule says so, and notes what it was asked for."""

    def __init__(self, rule: Rule = lambda request: None, **given: object) -> None:
        super().__init__([hash_spec(outputs=("dense", "sparse"))], **given)  # type: ignore[arg-type]
        self.rule = rule
        self.asked: list[Encode] = []

    async def encode(self, request: Encode) -> Encoded:
        self.asked.append(request)
        error = self.rule(request)
        if error is not None:
            raise error
        return await super().encode(request)


def words(request: Encode) -> set[str]:
    return {word for item in request.items for word in item.text.split()}  # type: ignore[union-attr]


def poison(error: Callable[[], BaseException] = lambda: BadRequest("text 0 has no token")) -> Rule:
    return lambda request: error() if "poison" in words(request) else None


def document(place: int, *texts: str) -> Work:
    return Work(
        place, place, "file", f"doc-{place}", texts, [len(text.split()) for text in texts],
        [f"{place}-{number}" for number in range(len(texts))], range(len(texts)), ["{}"] * len(texts),
        [f"hash of {text}" for text in texts],
    )  # fmt: skip


def made(
    folder: Path,
    encoder: HashEncoder,
    works: Sequence[Work],
    *,
    how: Asking = Asking(),  # noqa: B008 - frozen
    known: Known | None = None,
    **wished: object,
) -> Made:
    job = small_job(folder, encoder=encoder, **wished)

    async def ran() -> Made:
        here = await job.opened()
        if isinstance(encoder, Strict):
            encoder.asked.clear()
        return await ShardEncoder(here, job.wish, quick_patience(), how, known).of(works)

    return asyncio.run(ran())


def alone(text: str) -> list[float]:
    answer = asyncio.run(HashEncoder([hash_spec()]).encode(Encode(model="hash", items=(Text(text),))))
    assert answer.dense is not None
    return answer.dense[0].tolist()


GOOD = [document(place, f"text {place}", f"more of {place}") for place in range(4)]
BAD = document(9, "this is poison", "and more")


def test_vectors_are_in_the_order_of_documents_and_chunks(tmp_path: Path) -> None:
    found = made(tmp_path, Strict(), GOOD)

    assert [row.tolist() for row in found.dense] == [alone(text) for work in GOOD for text in work.texts]


def test_a_shard_is_one_whole_request(tmp_path: Path) -> None:
    encoder = Strict()
    made(tmp_path, encoder, GOOD)
    (request,) = encoder.asked

    assert (request.whole, request.truncate, request.priority, request.caller) == (True, "refuse", "bulk", "job")
    assert len(request.items) == 8


def test_a_shard_without_documents_asks_for_nothing(tmp_path: Path) -> None:
    encoder = Strict()
    found = made(tmp_path, encoder, [])

    assert (found.dense.shape, encoder.asked) == ((0, 32), [])


@pytest.mark.parametrize("error", [BadRequest("no token"), TooLong("too long"), RuntimeFailed("the device failed")])
def test_a_document_that_fails_is_found_and_told_why(tmp_path: Path, error: EmbedstackError) -> None:
    found = made(tmp_path, Strict(poison(lambda: error)), [*GOOD, BAD])

    assert [(work.doc_id, code, message) for work, code, message in found.dead] == [("doc-9", error.code, str(error))]
    assert [work.doc_id for work in found.works] == [f"doc-{place}" for place in range(4)]


def test_the_survivors_are_encoded_once_more_all_together(tmp_path: Path) -> None:
    encoder = Strict(poison())
    found = made(tmp_path, encoder, [GOOD[0], BAD, *GOOD[1:]])

    assert [item.text for item in encoder.asked[-1].items] == [text for work in GOOD for text in work.texts]
    assert [row.tolist() for row in found.dense] == [alone(text) for work in GOOD for text in work.texts]


def test_every_document_that_fails_is_found(tmp_path: Path) -> None:
    bad = [document(place, "poison") for place in (10, 11, 12)]
    found = made(tmp_path, Strict(poison()), [bad[0], *GOOD, *bad[1:]])

    assert [work.place for work, _, _ in found.dead] == [10, 11, 12]
    assert len(found.works) == 4


def test_where_all_fail_nothing_is_left(tmp_path: Path) -> None:
    found = made(tmp_path, Strict(poison()), [BAD, document(10, "poison")])

    assert (len(found.works), len(found.dense), len(found.dead)) == (0, 0, 2)


@pytest.mark.parametrize("wished", [{}, {"late_chunking": True}])
def test_a_model_that_fails_over_everything_costs_no_document(tmp_path: Path, wished: dict[str, object]) -> None:
    encoder = Strict()
    job = small_job(tmp_path, encoder=encoder, **wished)

    async def ran() -> None:
        here = await job.opened()
        encoder.rule = lambda request: RuntimeFailed("the device is broken")
        await ShardEncoder(here, job.wish, quick_patience(), Asking()).of(GOOD)

    with pytest.raises(RuntimeFailed, match="the device is broken"):
        asyncio.run(ran())


def test_a_server_that_a_text_is_too_much_for_costs_that_document(tmp_path: Path) -> None:
    found = made(tmp_path, Strict(poison(lambda: Upstream("HTTP 500"))), [*GOOD, BAD], how=Asking(items=3))

    assert [(work.place, code) for work, code, _ in found.dead] == [(9, "upstream")]


def test_a_server_that_sends_nonsense_costs_no_document(tmp_path: Path) -> None:
    encoder = Strict()
    job = small_job(tmp_path, encoder=encoder)

    async def ran() -> None:
        here = await job.opened()
        encoder.rule = lambda request: Upstream("no JSON")
        await ShardEncoder(here, job.wish, quick_patience(), Asking(items=2)).of(GOOD)

    with pytest.raises(Upstream, match="no JSON"):
        asyncio.run(ran())


class PanicException(BaseException):
    """What a panic in Rust looks like."""


PanicException.__module__ = "pyo3_runtime"


def test_a_panic_costs_one_document(tmp_path: Path) -> None:
    found = made(tmp_path, Strict(poison(lambda: PanicException("boom"))), [*GOOD, BAD])

    assert [(work.place, code) for work, code, _ in found.dead] == [(9, "panic")]


def test_documents_that_fail_only_together_are_not_blamed(tmp_path: Path) -> None:
    with pytest.raises(RuntimeFailed, match="too much at once"):
        made(tmp_path, Strict(lambda r: RuntimeFailed("too much at once") if len(r.items) > 6 else None), GOOD)


def test_a_failure_that_passes_costs_no_document(tmp_path: Path) -> None:
    tries = iter([RuntimeFailed("a moment"), None])
    encoder = Strict(lambda request: next(tries, None) if len(request.items) == 8 else None)

    assert len(made(tmp_path, encoder, GOOD).works) == 4


@pytest.mark.parametrize("wished", [{}, {"late_chunking": True}])
def test_a_failure_over_one_document_that_passes_costs_it_nothing(tmp_path: Path, wished: dict[str, object]) -> None:
    tries = iter([RuntimeFailed("a moment"), None])
    encoder = Strict(lambda request: next(tries, None) if "poison" in words(request) else None)

    assert [work.place for work in made(tmp_path, encoder, [BAD], **wished).works] == [9]


def test_a_dead_engine_costs_no_document(tmp_path: Path) -> None:
    encoder = Strict()

    def dies(request: Encode) -> BaseException | None:
        encoder.alive = False
        return NotReady("the engine is stopping")

    job = small_job(tmp_path, encoder=encoder)

    async def ran() -> None:
        here = await job.opened()
        encoder.rule = dies
        await ShardEncoder(here, job.wish, quick_patience(encoder), Asking()).of([BAD])

    with pytest.raises(RuntimeFailed, match="the engine has died"):
        asyncio.run(ran())


def test_what_is_no_documents_fault_is_raised(tmp_path: Path) -> None:
    encoder = Strict(lambda request: NotReady("loading") if "poison" in words(request) else None)

    with pytest.raises(NotReady):
        made(tmp_path, encoder, [BAD])


@pytest.mark.parametrize("bad", [np.nan, 0.5])
def test_a_vector_that_nobody_could_use_costs_its_document(tmp_path: Path, bad: float) -> None:
    found = made(tmp_path, Broken(bad), [*GOOD, BAD])

    assert [(work.place, code) for work, code, _ in found.dead] == [(9, "bad_vector")]
    assert [row.tolist() for row in found.dense] == [alone(text) for work in GOOD for text in work.texts]


class Sick(HashEncoder):
    """Gives nothing that is a number, from some moment on."""

    is_sick = False

    async def encode(self, request: Encode) -> Encoded:
        answer = await super().encode(request)
        assert answer.dense is not None
        return replace(answer, dense=answer.dense * np.float32("nan")) if self.is_sick else answer


def test_a_device_that_gives_no_number_for_anything_buries_nobody(tmp_path: Path) -> None:
    encoder = Sick([hash_spec()])
    job = small_job(tmp_path, encoder=encoder)

    async def ran() -> None:
        here = await job.opened()
        encoder.is_sick = True
        await ShardEncoder(here, job.wish, quick_patience(), Asking()).of(GOOD)

    with pytest.raises(RuntimeFailed, match="of a text that was well before"):
        asyncio.run(ran())


class Broken(Strict):
    """Gives one text a bad number."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    async def encode(self, request: Encode) -> Encoded:
        answer = await super().encode(request)
        assert answer.dense is not None
        for row, item in enumerate(request.items):
            answer.dense[row] *= self.value if "poison" in item.text else 1  # type: ignore[union-attr]
        return answer


def test_another_model_in_between_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Mismatch, match="another model answers now"):
        made(tmp_path, Changing(fingerprint="other"), GOOD)


def test_vectors_of_another_shape_are_not_taken(tmp_path: Path) -> None:
    found = made(tmp_path, Changing(dense=np.zeros((1, 2), np.float32)), GOOD)

    assert {code for _, code, _ in found.dead} == {"upstream"}


class Changing(Strict):
    """Answers differently for a job's texts than for the probes."""

    def __init__(self, **changes: object) -> None:
        super().__init__()
        self.changes = changes

    async def encode(self, request: Encode) -> Encoded:
        answer = await super().encode(request)
        is_probe = any("ferry" in item.text or "moon" in item.text for item in request.items)  # type: ignore[union-attr]
        return answer if is_probe else replace(answer, **self.changes)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------ endpoints


def test_an_endpoint_is_asked_for_a_few_at_a_time(tmp_path: Path) -> None:
    encoder = Strict()
    found = made(tmp_path, encoder, GOOD, how=Asking(items=3))

    assert [len(request.items) for request in encoder.asked] == [3, 3, 2]
    assert not any(request.whole for request in encoder.asked)
    assert [row.tolist() for row in found.dense] == [alone(text) for work in GOOD for text in work.texts]


def test_no_more_requests_are_under_way_than_allowed(tmp_path: Path) -> None:
    encoder = Crowded()
    made(tmp_path, encoder, GOOD, how=Asking(items=1, at_once=2))

    assert encoder.most == 2


class Crowded(Strict):
    """Counts those who are inside."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = self.most = 0

    async def encode(self, request: Encode) -> Encoded:
        self.inside += 1
        self.most = max(self.most, self.inside)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self.inside -= 1
        return await super().encode(request)


def test_what_an_endpoint_cut_costs_its_document(tmp_path: Path) -> None:
    long = document(9, " ".join(["word"] * 300))
    found = made(tmp_path, Strict(), [*GOOD, long], how=Asking(items=4))

    assert [(work.place, code) for work, code, _ in found.dead] == [(9, "too_long")]


# ------------------------------------------------------------------------------------------------ late, sparse, known


def test_late_chunking_reads_each_document_by_itself(tmp_path: Path) -> None:
    encoder = Strict()
    found = made(tmp_path, encoder, GOOD, late_chunking=True)

    assert [request.late_chunking for request in encoder.asked] == [True] * 4
    assert len(found.dense) == 8


def test_late_chunking_loses_only_the_document_that_fails(tmp_path: Path) -> None:
    found = made(tmp_path, Strict(poison()), [*GOOD, BAD], late_chunking=True)

    assert [work.place for work, _, _ in found.dead] == [9]
    assert len(found.dense) == 8


def test_late_chunking_loses_only_the_document_that_is_too_much_for_a_server(tmp_path: Path) -> None:
    encoder = Strict(poison(lambda: Upstream("HTTP 500")))
    found = made(tmp_path, encoder, [*GOOD, BAD], late_chunking=True, how=Asking(items=3))

    assert [(work.place, code) for work, code, _ in found.dead] == [(9, "upstream")]


def test_sparse_vectors_stay_with_their_chunks(tmp_path: Path) -> None:
    both = made(tmp_path / "a", Strict(poison()), [GOOD[0], BAD, GOOD[1]], sparse=True)
    good = made(tmp_path / "b", Strict(), GOOD[:2], sparse=True)

    assert both.sparse is not None
    assert good.sparse is not None
    assert [row.ids.tolist() for row in both.sparse] == [row.ids.tolist() for row in good.sparse]


class Memory:
    """Knows some texts by their hashes: their vector is all one number."""

    def __init__(self, *hashes: str) -> None:
        self.hashes = hashes

    def lookup(self, content_hashes: Sequence[str]) -> Reused:
        found = np.array([one in self.hashes for one in content_hashes])
        return Reused(found, np.full((int(found.sum()), 32), 32**-0.5, np.float32))


def test_what_is_known_is_not_encoded(tmp_path: Path) -> None:
    encoder = Strict()
    found = made(tmp_path, encoder, GOOD[:2], known=Memory("hash of more of 0"))

    assert [item.text for request in encoder.asked for item in request.items] == ["text 0", "text 1", "more of 1"]
    assert found.dense[1].tolist() == pytest.approx([32**-0.5] * 32)
    assert found.dense[2].tolist() == alone("text 1")
    assert (found.reused, found.tokens) == (1, 2 + 2 + 3)


def test_where_all_is_known_nothing_is_encoded(tmp_path: Path) -> None:
    encoder = Strict()
    found = made(tmp_path, encoder, GOOD[:1], known=Memory("hash of text 0", "hash of more of 0"))

    assert (encoder.asked, found.reused, found.tokens) == ([], 2, 0)


def test_tokens_of_the_dead_are_not_counted(tmp_path: Path) -> None:
    assert made(tmp_path, Strict(poison()), [GOOD[0], BAD]).tokens == 2 + 3


# ------------------------------------------------------------------------------------------------ vectors


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_is_bad(value: float) -> None:
    rows = np.array([[1, 0], [value, 0]], np.float32)

    assert bad_rows(rows, is_unit=False).tolist() == [1]


def test_another_length_than_1_is_bad_where_it_should_be_1() -> None:
    rows = np.array([[1, 0], [0.6, 0.8], [1.002, 0], [0, 0]], np.float32)

    assert bad_rows(rows, is_unit=True).tolist() == [2, 3]
    assert bad_rows(rows, is_unit=False).tolist() == []


def test_what_float16_cannot_hold_is_bad_where_it_is_stored_so() -> None:
    rows = np.array([[1e5, 0]], np.float32)

    assert bad_rows(rows, is_unit=False, storing="float16").tolist() == [0]
    assert bad_rows(rows, is_unit=False, storing="float32").tolist() == []


def test_no_rows_are_not_bad() -> None:
    assert bad_rows(np.empty((0, 4), np.float32), is_unit=True).tolist() == []
