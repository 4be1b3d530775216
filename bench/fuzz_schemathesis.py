"""schemathesis over a server's description -> counts, what its checks found, and which of that is no fault and why."""

import json
import subprocess
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import fuzz_values as values
from fuzz_judge import SLOW_S
from fuzz_server import Server

Json = Any  # its events are JSON, and JSON is not typed
REFUSALS = ["2xx", "400", "403", "404", "413", "422", "424"]
CONFIG = f"""
[parameters]
# else it tries the smallest time that there is, and all that it learns is that the time is over
"header.x-embedstack-timeout-s" = "60"
"path.id" = "{{model}}"
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx"]
[checks.negative_data_rejection]
expected-statuses = ["4xx"]
[checks.positive_data_acceptance]
# which models, widths and lengths a server has, no schema can say; our own requests see to it that the words are stated
expected-statuses = {json.dumps(REFUSALS)}
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
        command = [str(program.absolute()), "--config-file", str(config), "run", f"{server.url}/openapi.json"]
        command += ["--phases", "examples,coverage,fuzzing", "--checks", "all", "--continue-on-failure", "--no-color"]
        command += ["-n", str(examples), "--seed", str(seed), "--generation-database", "none"]
        command += ["--max-response-time", f"{SLOW_S:g}", "-H", f"Authorization: Bearer {values.KEY}"]
        command += ["--report", "ndjson", "--report-ndjson-path", str(events)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
        if not events.exists():
            raise SystemExit(f"schemathesis did not run: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        found = _read(events)
    found["faults"] += [{"fault": "in the log", "line": one} for one in server.indiscretions()]
    return found


def _read(events: Path) -> Json:
    by_path: dict[str, Counter[str]] = defaultdict(Counter)
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
            for fault in _failed(recorder, checks):
                reason = excepted(fault)
                if reason:
                    exceptions[reason] += 1
                else:
                    faults.append(fault)
    return {
        "version": version,
        "requests": sum(sum(one.values()) for one in by_path.values()),
        "faults": faults,
        "exceptions": dict(exceptions),
        "checks_passed": dict(sorted(checks.items())),
        "slowest_s": round(slowest_s, 3),
        "by_path": {name: dict(sorted(by_path[name].items())) for name in sorted(by_path)},
    }


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
