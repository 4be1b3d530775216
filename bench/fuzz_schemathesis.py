"""schemathesis over a server's description -> counts, what its checks found, and which of that is no fault and why.

It draws bodies that fit and bodies that do not. That the latter are refused is a check of its own; that the former are
answered, or refused in stated words, is judged here, since its check knows nothing of words.
"""

import base64
import json
import os
import subprocess
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import fuzz_values as values
from fuzz_cases import Case
from fuzz_judge import SLOW_S, Judge, refusal, sentence
from fuzz_server import Server
from fuzz_tally import GOOD, plain
from fuzz_wire import Reply

Json = Any  # its events are JSON, and JSON is not typed
HOOKS = Path(__file__).with_name("fuzz_hooks.py")
CONFIG = f"""
hooks = "{HOOKS}"
[parameters]
# else it tries the smallest time that there is, and all that it learns is that the time is over
"header.x-embedstack-timeout-s" = "60"
"path.id" = "{{model}}"
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx"]
[checks.negative_data_rejection]
expected-statuses = ["4xx"]
[checks.positive_data_acceptance]
# by their words, see `answered`
expected-statuses = ["2xx", "4xx"]
"""
EXCEPTIONS: Mapping[tuple[str, str], str] = {
    ("negative_data_rejection", "in header - object with unexpected properties"): (
        "a header that is not described is ignored, as HTTP wants it (RFC 9110, section 5.1)"
    ),
    ("negative_data_rejection", "parameter `x-embedstack-timeout-s` in header"): (
        "this run sends 60 whatever was drawn; our own requests try others"
    ),
}


def schemathesis(program: Path, server: Server, model: str, *, seed: int, examples: int) -> dict[str, object]:
    """All its checks but those of statefulness, which our operations do not have.

    Args:
        model: one that is served.
        examples: cases of each operation in its phase of drawn data; its phases of examples and coverage come on top.
    """
    with tempfile.TemporaryDirectory() as folder:
        config, events = Path(folder) / "schemathesis.toml", Path(folder) / "events.ndjson"
        config.write_text(CONFIG.format(model=model))
        description = Path(folder) / "description.json"  # from its own address it would leave that path out
        described = server.description()
        description.write_text(json.dumps(described))
        command = [str(program.absolute()), "--config-file", str(config), "run", str(description), "--url", server.url]
        command += ["--phases", "examples,coverage,fuzzing", "--checks", "all", "--continue-on-failure", "--no-color"]
        command += ["-n", str(examples), "--seed", str(seed), "--generation-database", "none"]
        command += ["--max-response-time", f"{SLOW_S:g}", "-H", f"Authorization: Bearer {values.KEY}"]
        command += ["--report", "ndjson", "--report-ndjson-path", str(events)]
        environment = {**os.environ, "FUZZ_MODEL": model}
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=environment)
        if not events.exists():
            raise SystemExit(f"schemathesis did not run: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        found = _read(events, Judge(described))
    found["faults"] += [{"fault": "in the log", "line": one} for one in server.indiscretions()]
    return found


def _read(events: Path, judge: Judge) -> Json:
    by_path: dict[str, Counter[str]] = defaultdict(Counter)
    valid: dict[str, Counter[str]] = defaultdict(Counter)
    exceptions: Counter[str] = Counter()
    checks: Counter[str] = Counter()
    faults: list[Json] = []
    slowest_s = 0.0
    version = ""
    with events.open() as lines:
        for line in lines:
            (name, event), *_ = json.loads(line).items()
            version = version or event.get("schemathesis_version", "")
            if name in ("NonFatalError", "FatalError", "InternalError"):
                faults.append({"fault": "schemathesis could not go on", "event": str(event)[:500]})
            if name != "ScenarioFinished":
                continue
            recorder = event["recorder"]
            for key, interaction in recorder.get("interactions", {}).items():
                reply = interaction.get("response")
                by_path[_path(recorder, key)][str(reply["status_code"]) if reply else "closed"] += 1
                slowest_s = max(slowest_s, reply["elapsed"] if reply else 0.0)
                faults += answered(recorder["cases"][key]["value"], interaction, valid, judge)
            for fault in _failed(recorder, checks):
                reason = excepted(fault)
                if reason:
                    exceptions[reason] += 1
                else:
                    faults.append(fault)
    return {
        "version": version,
        "requests": sum(one.total() for one in by_path.values()),
        "faults": faults,
        "exceptions": dict(exceptions),
        "checks_passed": dict(sorted(checks.items())),
        "slowest_s": round(slowest_s, 3),
        "valid_by_path": plain(valid),
        "by_path": plain(by_path),
    }


def answered(drawn: Json, interaction: Json, valid: dict[str, Counter[str]], judge: Judge) -> Iterator[Json]:
    """Of one that was drawn to fit; it is counted, and refused in other words than the stated ones it is a fault."""
    is_drawn_to_fit = ((drawn.get("meta") or {}).get("generation") or {}).get("mode") == "positive"
    given, request = interaction.get("response"), interaction["request"]
    if not is_drawn_to_fit or request["method"] != "POST" or given is None:
        return
    case = Case("drawn", drawn["path"], _bytes(request), {name.lower().encode(): b"" for name in request["headers"]})
    reply = Reply(given["status_code"], {}, _bytes(given, "content"), given["elapsed"])
    why = GOOD if 200 <= reply.status < 300 else refusal(case, reply)
    if why is None and judge.fit_of_body(case.path, case.body) == "unknown":  # such as 1.0 for a whole number
        return
    valid[case.path][why or str(reply.status)] += 1
    if why is None:
        said = f"{reply.status} for what fits, in words that are not stated: {sentence(reply)}"
        yield {"fault": said, "path": f"POST {case.path}", "body": case.body[:300].decode("utf-8", "replace")}


def _bytes(message: Json, part: str = "body") -> bytes:
    return base64.b64decode((message.get(part) or {}).get("$base64", ""))


def _path(recorder: Json, key: str) -> str:
    case = recorder.get("cases", {}).get(key, {}).get("value", {})
    return str(case.get("path") or recorder["label"].rpartition(" ")[2])


def _failed(recorder: Json, checks: Counter[str]) -> Iterator[Json]:
    """Each failed check; those that passed are counted."""
    for key, rows in recorder.get("checks", {}).items():
        for row in rows:
            if row["status"] == "success":
                checks[row["name"]] += 1
                continue
            case = recorder.get("cases", {}).get(key, {}).get("value", {})
            info = row.get("failure_info") or {}
            yield {
                "fault": row["name"],
                "said": str(info.get("failure") or info)[:600],
                "path": f"{case.get('method')} {case.get('path')}",
                "body": str(case.get("body"))[:300],
                "headers": str(case.get("headers"))[:300],
            }


def excepted(fault: Json) -> str | None:
    """Why a finding is no fault."""
    found = (why for (check, said), why in EXCEPTIONS.items() if check == fault["fault"] and said in fault["said"])
    return next(found, None)
