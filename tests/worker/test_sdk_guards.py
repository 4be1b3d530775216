"""What the SDK is given: its variables, and outputs as it can hold them."""

import json
import os
import sys
from types import SimpleNamespace

import pytest

from embedstack.errors import ConfigError
from embedstack.settings import Settings
from embedstack.worker import sdk
from embedstack.worker.output import RUN_BYTES, Output, check_size
from embedstack.worker.run import waiting, why_end


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is not RunPod's; what is set is undone."""
    for name in [name for name in os.environ if name.startswith(("RUNPOD_", "HF_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(os, "environ", dict(os.environ))


def test_the_addresses_of_an_emulator_have_the_marks_that_the_sdk_needs() -> None:
    made = sdk.emulator_variables("http://127.0.0.1:8001/", "w1")
    calls = [made[f"RUNPOD_WEBHOOK_{name}"] for name in ("GET_JOB", "POST_OUTPUT", "POST_STREAM")]

    assert all("?" in url for url in calls)  # the SDK appends &name=value
    assert "/job-take/$ID" in calls[0]
    assert calls[1].startswith("http://127.0.0.1:8001/v2/local/job-done/$RUNPOD_POD_ID/$ID")
    assert made["RUNPOD_WEBHOOK_PING"] == "http://127.0.0.1:8001/v2/local/ping/$RUNPOD_POD_ID"
    assert (made["RUNPOD_AI_API_KEY"], made["RUNPOD_POD_ID"]) == ("local", "w1")


def test_another_endpoint_and_key_of_an_emulator_are_taken() -> None:
    os.environ["RUNPOD_AI_API_KEY"] = "a key"
    made = sdk.emulator_variables("http://127.0.0.1:8001/v2/other/", "w1")

    assert made["RUNPOD_WEBHOOK_PING"] == "http://127.0.0.1:8001/v2/other/ping/$RUNPOD_POD_ID"
    assert made["RUNPOD_AI_API_KEY"] == "a key"


def test_the_sdk_writes_no_outputs_into_its_log_unless_it_is_told_to() -> None:
    sdk.set_variables({})

    assert os.environ["RUNPOD_LOG_LEVEL"] == "INFO"


@pytest.mark.parametrize("name", ["RUNPOD_LOG_LEVEL", "RUNPOD_DEBUG_LEVEL"])
def test_a_level_that_is_set_holds(name: str) -> None:
    os.environ[name] = "ERROR"
    sdk.set_variables({})

    assert os.environ.get("RUNPOD_LOG_LEVEL", "ERROR") == "ERROR"


@pytest.mark.parametrize(
    ("is_there", "home", "wanted"), [(True, "", True), (True, "/models", False), (False, "", False)]
)
def test_the_models_that_runpod_keeps_are_looked_for_where_no_other_place_is_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: os.PathLike[str], is_there: bool, home: str, wanted: bool
) -> None:
    monkeypatch.setattr(sdk, "MODEL_CACHE", str(tmp_path) if is_there else "/nowhere/hub")
    if home:
        os.environ["HF_HOME"] = home
    sdk.set_variables({})

    assert ("HF_HUB_CACHE" in os.environ) is wanted


def test_without_a_source_of_jobs_the_refusal_names_the_three_ways() -> None:
    with pytest.raises(ConfigError) as told:
        sdk.require_jobs()

    named = ("RUNPOD_WEBHOOK_GET_JOB", "--profile runpod", "--local", "--emulator")
    assert all(word in str(told.value) for word in named)


def test_a_missing_sdk_is_told_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "runpod", None)

    with pytest.raises(ConfigError, match=r"pip install 'embedstack\[runpod\]'"):
        sdk.load()


@pytest.mark.parametrize(
    ("output", "returned"),
    [
        (Output(b'{"a":[1.5]}'), {"a": [1.5]}),
        (Output(b'[{"a":1}]'), [{"a": 1}]),
        (Output(b'"text"'), "text"),
        (Output(error=b'"why"'), {"error": "why"}),
        (Output(b'{"embeddings":[]}', b'"why"'), {"error": "why", "embeddings": []}),
        (Output(error=b'{"message":"why"}'), {"error": {"message": "why"}}),
    ],
)
def test_the_plain_sdk_gets_what_a_handler_returns(output: Output, returned: object) -> None:
    made = sdk.plain(output)

    assert made == returned
    assert json.loads(json.dumps(made)) == returned


@pytest.mark.parametrize("raw", [b'{"secret":1}', b'["secret"]'])
def test_what_the_sdk_shows_of_an_output_is_short(raw: bytes) -> None:
    assert "[" not in f"{sdk.plain(Output(raw))}"
    assert f"{ {'output': sdk.Ready(Output(raw))} }" == f"{{'output': <output of {len(raw)} bytes>}}"


def test_an_output_on_its_way_is_never_empty() -> None:
    assert sdk.Ready(Output(b"{}")) != {}  # the SDK would leave it out


def test_no_job_is_refused_because_others_wait() -> None:
    made = waiting(Settings())

    assert (made.max_wait_ms, made.max_bulk_wait_s) == (600_000, 600)
    assert waiting(Settings(max_wait_ms=50)).max_wait_ms == 50


@pytest.mark.parametrize(("memory_mb", "ends"), [(0, False), (1, True), (1_000_000, False)])
def test_a_worker_ends_above_the_memory_that_is_set(memory_mb: int, ends: bool) -> None:
    assert ("--memory-mb" in why_end(SimpleNamespace(alive=True), memory_mb)()) is ends


def test_a_worker_whose_engine_ended_ends() -> None:
    assert "the engine ended" in why_end(SimpleNamespace(alive=False), 0)()


def test_the_plain_sdk_gets_no_output_that_is_too_large_as_it_writes_it() -> None:
    raw = b"[" + b"1," * (RUN_BYTES // 2 - 100) + b"1]"
    check_size(len(Output(raw).body()), "a-u1", 64)

    assert "may give back 10000000; about 42 of its 64 items" in sdk.fitting(Output(raw, items=64), "a-u1")["error"]
    assert len(sdk.fitting(Output(raw), "sync-a-u1")) == RUN_BYTES // 2 - 99


def test_the_sdk_is_imported_without_a_look_at_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    library = SimpleNamespace(get_cpu_info=lambda: asked.append("asked"))
    monkeypatch.setitem(sys.modules, "cpuinfo", library)

    with sdk.no_look_at_the_processor():
        said = library.get_cpu_info()
    library.get_cpu_info()

    assert (said, asked) == ({}, ["asked"])


def test_an_sdk_that_does_not_look_is_imported_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cpuinfo", None)

    with sdk.no_look_at_the_processor():
        is_there = "cpuinfo" in sys.modules

    assert is_there


@pytest.mark.parametrize("home", ["/home/somebody", None])
def test_the_home_folder_is_hidden_only_while_the_sdk_is_imported(home: str | None) -> None:
    os.environ.pop("HOME", None)
    if home is not None:
        os.environ["HOME"] = home

    with sdk.no_credentials():
        hidden = os.environ["HOME"]

    assert (hidden, os.environ.get("HOME")) == (os.devnull, home)
