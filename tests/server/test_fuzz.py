"""A small share of the fuzz of bench/fuzz.py, and whether its judge sees what is wrong."""

import base64
import itertools
import json
from collections import Counter
from pathlib import Path

import pytest

from embedstack.dialects import open_dialects
from embedstack.server.openapi import describe
from embedstack.server.table import places
from fuzz_cases import Case, Cases
from fuzz_judge import Judge
from fuzz_page import criteria, page
from fuzz_run import fuzz
from fuzz_schemathesis import EXCEPTIONS, answered, excepted
from fuzz_server import serving
from fuzz_stated import LATE, REFUSALS, stated
from fuzz_values import CANARY, KEY
from fuzz_wire import Reply

FAKE = Path(__file__).with_name("serve_fake.py")
DESCRIPTION = describe(places(open_dialects()))
JUDGE = Judge(DESCRIPTION)
ID = {"x-request-id": "a", "content-type": "application/json"}
GOOD = {"object": "list", "data": [], "model": "hash", "usage": {"prompt_tokens": 1, "total_tokens": 1}}
ASKED = Case("example", "/openai/v1/embeddings", b'{"input": "a"}')


@pytest.mark.slow
def test_no_request_of_a_small_share_finds_a_fault():
    with serving((str(FAKE), "--every-kind")) as server:
        tally = fuzz(server, seed=20, count=400, has_all=True)

    assert tally.faults == []
    assert tally.good >= 3
    assert min(tally.by_fit[fit].total() for fit in ("valid", "invalid", "unknown", "no HTTP")) > 0


def test_the_same_seed_gives_the_same_requests():
    drawn = [list(itertools.islice(Cases(DESCRIPTION, seed, "hash"), 200)) for seed in (1, 1, 2)]

    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]


def test_every_path_but_the_admins_is_asked():
    posts = {path for path, methods in DESCRIPTION["paths"].items() if "post" in methods}
    asked = {path for path in posts if not path.startswith("/admin/")}

    assert "/search" in asked
    assert {case.path for case in Cases(DESCRIPTION, 0, "hash").examples()} == asked


# ------------------------------------------------------------------------------------------------ the judge


def refusal(message: str, status: int = 400, **headers: str) -> Reply:
    body = {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}
    return Reply(status, {**ID, **headers}, json.dumps(body).encode(), 0.0)


def good(**changes: object) -> Reply:
    return Reply(200, ID, json.dumps({**GOOD, **changes}).encode(), 0.0)


def asked(body: bytes, **headers: str) -> Case:
    given = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return Case("one", ASKED.path, body, given)


@pytest.mark.parametrize(
    ("case", "reply"),
    [
        (ASKED, good()),
        (ASKED, refusal("text 0 is empty; send at least one character or leave it out")),
        (asked(b'{"input": []}'), refusal("input is an empty list; send at least one item")),
        (asked(b'{"input": NaN}'), refusal("the body is not JSON")),
        (asked(b'{"input": "a", "input": 1}'), refusal("the body does not fit")),
        (asked(b'{"input": "\\ud800"}'), good()),
        (asked(b'{"input": "a"}', x_embedstack_timeout_s="1e-9"), refusal("the deadline passed", 504)),
        (asked(b"[" * 100_000), refusal("the body is nested too deeply")),
    ],
)
def test_right_replies_are_right(case, reply):
    assert list(JUDGE.faults(case, reply)) == []


@pytest.mark.parametrize(
    ("case", "reply", "said"),
    [
        (asked(b'{"input": 1}'), good(), "does not fit"),
        (asked(b'{"input": "a", "dimension": 1}'), good(), "does not fit"),
        (asked(b'{"input": "a"'), good(), "does not fit"),
        (asked(b'{"input": "\xff"}'), good(), "does not fit"),
        (asked(b'\xef\xbb\xbf{"input": "a"}'), good(), "does not fit"),
        (asked(b'{"input": "a", "dimensions": Infinity}'), good(), "does not fit"),
        (asked(b'{"input": "a"}', x_embedstack_priority="urgent"), good(), "does not fit"),
        (asked(b'{"input": "a"}', x_embedstack_timeout_s="1_0"), good(), "does not fit"),
        (asked(b'{"input": "a"}', x_embedstack_timeout_s="nan"), good(), "does not fit"),
        (asked(b'{"input": "a"}', x_request_id="mine"), good(), "x-request-id"),
        (ASKED, refusal("I would rather not"), "not stated"),
        (ASKED, refusal("the runtime failed", 500), "500"),
        (ASKED, refusal("the deadline passed", 504), "504"),
        (ASKED, refusal("too much is waiting", 429), "retry-after"),
        (ASKED, refusal("a key is needed here", 401), "www-authenticate"),
        (ASKED, refusal("teapot", 418), "not described"),
        (ASKED, good(object="lists"), "not as described"),
        (ASKED, good(extra=1), "not as described"),
        (ASKED, Reply(400, ID, b'{"error": "flat"}', 0.0), "not as described"),
        (ASKED, Reply(200, {"x-request-id": "a"}, json.dumps(GOOD).encode(), 0.0), "content-type"),
        (ASKED, Reply(200, {"content-type": "application/json"}, json.dumps(GOOD).encode(), 0.0), "x-request-id"),
        (ASKED, Reply(200, ID, b"vectors", 0.0), "no JSON"),
        (ASKED, Reply(200, ID, json.dumps(GOOD).encode(), 11.0), "took 11 s"),
        (ASKED, Reply(0, {}, b"", 0.0), "without a reply"),
        (ASKED, refusal(f"text 0 is empty: {CANARY}"), "too much"),
        (ASKED, refusal(f"text 0 is empty: {KEY}"), "a key"),
        (ASKED, refusal("text 0 is empty: Traceback (most recent call last)"), "too much"),
        (Case("lie", ASKED.path, b"", wire="no colon", is_broken=True), refusal("a failure", 500), "no HTTP"),
        (Case("sound", ASKED.path, ASKED.body, is_sound=True), refusal("text 0 is empty"), "as good as the example"),
        (Case("key", ASKED.path, ASKED.body, needs=401), good(), "where 401 must be"),
    ],
)
def test_wrong_replies_are_seen(case, reply, said):
    assert [fault for fault in JUDGE.faults(case, reply) if said in fault]


def test_what_may_be_refused_though_it_fits_is_told_by_its_words():
    said = "model 'b' is not served here; the models are: a", "two fish swim"

    assert [stated(one) for one in said] == ["the model", None]
    assert LATE not in REFUSALS


# ------------------------------------------------------------------------------------------------ schemathesis


def drawn(body: bytes, reply: Reply, mode: str = "positive") -> tuple[Counter[str], list[str]]:
    """What is counted and what is found of one of its requests, as its events have it."""
    valid: dict[str, Counter[str]] = {ASKED.path: Counter()}
    case = {"path": ASKED.path, "meta": {"generation": {"mode": mode}}}
    given = {"status_code": reply.status, "content": packed(reply.body), "elapsed": 0.0}
    interaction = {"request": {"method": "POST", "headers": {}, "body": packed(body)}, "response": given}
    faults = [fault["fault"] for fault in answered(case, interaction, valid, JUDGE)]
    return valid[ASKED.path], faults


def packed(raw: bytes) -> dict[str, str]:
    return {"$base64": base64.b64encode(raw).decode()}


def test_what_schemathesis_drew_to_fit_is_answered_or_refused_in_stated_words():
    replies = good(), refusal("text 0 is empty; send at least one character")

    assert [drawn(ASKED.body, one) for one in replies] == [({"2xx": 1}, []), ({"an empty list or text": 1}, [])]


def test_what_schemathesis_drew_to_fit_and_was_refused_in_other_words_is_a_fault():
    counted, (fault,) = drawn(ASKED.body, refusal("I would rather not"))

    assert counted == {"400": 1}
    assert "in words that are not stated: I would rather not" in fault


@pytest.mark.parametrize(
    ("body", "mode"), [(ASKED.body, "negative"), (b'{"input": "a", "dimensions": 1.0}', "positive")]
)
def test_what_schemathesis_did_not_draw_to_fit_or_fits_for_some_only_is_not_counted(body, mode):
    assert drawn(body, refusal("I would rather not"), mode) == ({}, [])


def test_only_the_named_findings_of_schemathesis_are_excepted():
    (check, said), *_ = EXCEPTIONS

    assert excepted({"fault": check, "said": f"Invalid component: {said}"})
    assert not excepted({"fault": check, "said": "Invalid component: in body"})
    assert not excepted({"fault": "not_a_server_error", "said": said})


# ------------------------------------------------------------------------------------------------ the page


def run(**changes: object) -> dict[str, object]:
    """A sound run of our own."""
    sound = {
        "requests": 10_000, "faults": [], "slowest_s": 1.0, "good_requests_between": 5,
        "by_fit": {"invalid": {"4xx": 5000}},
        "valid_by_path": {"/embed": {"2xx": 90, "the model": 9, LATE: 1}},
        "by_path": {"/embed": {"200": 90, "404": 9909, "504": 1}},
    }  # fmt: skip
    return {**sound, **changes}


def made(**changes: object) -> dict[str, object]:
    one = run(**changes)
    keys = ("requests", "slowest_s", "valid_by_path", "by_path")
    head = {"processor": "one", "threads": 2, "date": "2026-01-01", "commit": "0"}
    told = {"machine": head, "command": "python bench/fuzz.py", "seconds": 1, "exceptions": ["none"]}
    return {**told, **{key: one[key] for key in keys}, "faults": len(one["faults"]), "runs": {"own": one}}


def missed(**changes: object) -> list[str]:
    return [one.what.split(",")[0] for one in criteria(made(**changes)) if not one.is_reached]


def test_a_sound_run_reaches_every_criterion_and_its_page_says_why_what_fits_was_refused():
    assert missed() == []
    assert REFUSALS["the model"].why in page(made())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"requests": 9_999}, "requests"),
        ({"slowest_s": 10.1}, "the slowest reply"),
        ({"by_fit": {"invalid": {"4xx": 4999, "2xx": 1}}}, "bodies that do not fit the schema and got no 4xx"),
        ({"valid_by_path": {"/embed": {"2xx": 90, "400": 1, LATE: 1}}}, "bodies that fit and got no 2xx"),
        ({"valid_by_path": {"/embed": {"the model": 9, LATE: 1}}}, "paths of which bodies that fit got a 2xx"),
        ({"by_path": {"/embed": {"504": 2}}}, "5xx"),
        ({"by_path": {"/embed": {"500": 1, "504": 1}}}, "5xx"),
    ],
)
def test_each_criterion_is_missed_by_what_it_names(change, said):
    assert missed(**change) == [said]


def test_a_good_request_without_its_answer_is_missed():
    faults = [{"fault": "the good request was not answered: ReadTimeout"}]

    assert missed(faults=faults) == [
        "good requests in between without their answer",
        "faults of any kind: another envelope",
    ]
