"""What is sent for a job: strict JSON, small enough, or a failure that says what to do."""

import json

import pytest

from embedstack.dialects.dialect import Wire
from embedstack.errors import RuntimeFailed, TooLong
from embedstack.worker.output import RUN_BYTES, RUNSYNC_BYTES, Output, check_size, output_of


def test_an_output_is_sent_as_it_was_written() -> None:
    made = output_of(Wire(200, b'{"id":"x","status":"COMPLETED","output":{"b":[0.10000000149011612]}}'))

    assert made.body() == b'{"output":{"b":[0.10000000149011612]}}'


def test_a_failure_keeps_what_stands_beside_it() -> None:
    made = output_of(Wire(400, b'{"status":"FAILED","error":"No texts provided","code":"bad_request","embeddings":[]}'))

    assert json.loads(made.body()) == {
        "error": "No texts provided",
        "output": {"code": "bad_request", "embeddings": []},
    }


def test_an_error_may_be_an_object() -> None:
    made = output_of(Wire(404, b'{"status":"FAILED","error":{"message":"no"}}'))

    assert json.loads(made.body()) == {"error": {"message": "no"}}


def test_a_worker_that_is_to_start_anew_says_so_beside_its_result() -> None:
    assert json.loads(Output(b"[1]").body(stops=True)) == {"output": [1], "stopPod": True}


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b'{"output":NaN}', b'{"output":[1,]}', b'{"output":"\xff"}', b'{"status":"COMPLETED"}', b"[]"],
)
def test_what_is_no_job_or_no_json_is_never_sent(body: bytes) -> None:
    with pytest.raises(RuntimeFailed):
        output_of(Wire(200, body))


@pytest.mark.parametrize(("job_id", "limit"), [("a-u1", RUN_BYTES), ("sync-a-u1", RUNSYNC_BYTES)])
def test_the_limit_is_that_of_the_way_the_job_came(job_id: str, limit: int) -> None:
    check_size(limit, job_id, 1)
    with pytest.raises(TooLong, match=f"may give back {limit}"):
        check_size(limit + 1, job_id, 1)


def test_what_is_too_large_says_how_many_items_would_fit_and_how_to_make_them_smaller() -> None:
    with pytest.raises(TooLong) as told:
        check_size(2 * RUN_BYTES, "a-u1", 64, ("base64",))

    assert "about 32 of its 64 items would fit, so send several jobs" in str(told.value)
    assert "ask for encoding_format 'base64'" in str(told.value)
    assert "float16" not in str(told.value)


def test_one_item_that_is_too_large_alone_is_not_told_to_be_split() -> None:
    with pytest.raises(TooLong, match="send smaller items"):
        check_size(2 * RUN_BYTES, "a-u1", 1)


def test_what_is_shown_of_an_output_is_its_size() -> None:
    shown = repr(Output(b'{"secret":1}')), repr(Output(error=b'"why"'))

    assert shown == ("<output of 12 bytes>", "<failure of 5 bytes>")
