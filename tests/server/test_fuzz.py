"""A small share of the fuzz of bench/fuzz.py, and whether its judge sees what is wrong."""

import itertools
import json

import pytest

from embedstack.dialects import open_dialects
from embedstack.server.openapi import describe
from embedstack.server.table import places
from fuzz_cases import Case, Cases
from fuzz_judge import Judge
from fuzz_run import fuzz
from fuzz_schemathesis import EXCEPTIONS, excepted
from fuzz_server import FAKE, serving
from fuzz_values import CANARY, KEY
from fuzz_wire import Reply

DESCRIPTION = describe(places(open_dialects()))
JUDGE = Judge(DESCRIPTION)
ID = {"x-request-id": "a", "content-type": "application/json"}
GOOD = {"object": "list", "data": [], "model": "hash", "usage": {"prompt_tokens": 1, "total_tokens": 1}}
ASKED = Case("example", "/openai/v1/embeddings", b'{"input": "a"}')


@pytest.mark.slow
def test_no_request_of_a_small_share_finds_a_fault():
    with serving((str(FAKE), "--every-kind")) as server:
        tally = fuzz(server, seed=20, count=400)

    assert tally.faults == []
    assert tally.good >= 3
    assert min(tally.by_fit[fit].total() for fit in ("valid", "invalid", "unknown", "no HTTP")) > 0


def test_the_same_seed_gives_the_same_requests():
    drawn = [list(itertools.islice(Cases(DESCRIPTION, seed), 200)) for seed in (1, 1, 2)]

    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]


def test_every_path_but_the_admins_is_asked():
    posts = {path for path, methods in DESCRIPTION["paths"].items() if "post" in methods}
    asked = {path for path in posts if not path.startswith("/admin/")}

    assert {case.path for case in Cases(DESCRIPTION, 0).examples()} == asked


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


def test_only_the_named_findings_of_schemathesis_areexcepted():
    (check, said), *_ = EXCEPTIONS

    assert excepted({"fault": check, "said": f"Invalid component: {said}"})
    assert not excepted({"fault": check, "said": "Invalid component: in body"})
    assert not excepted({"fault": "not_a_server_error", "said": said})
