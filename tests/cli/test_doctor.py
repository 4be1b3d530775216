"""`embedstack doctor`: what is shown, and what never is."""

import json
from dataclasses import fields
from pathlib import Path

import pytest

from embedstack import __version__
from embedstack.settings import Settings
from support.commands import good

pytestmark = pytest.mark.usefixtures("machine")
SECRET = "hf_thisMustNeverBeSeen"


def test_doctor_shows_the_machine_the_packages_and_the_settings() -> None:
    text = good("doctor").stdout

    assert [line for line in text.splitlines() if line and not line.startswith(" ")] == [
        "machine",
        "packages",
        "settings",
    ]
    assert ["embedstack", __version__] in [line.split() for line in text.splitlines()]
    assert "float32" in text


def test_doctor_json_has_the_same_three_parts() -> None:
    report = json.loads(good("doctor", "--json", "--port", "9000").stdout)

    assert list(report) == ["machine", "packages", "settings"]
    assert list(report["settings"]) == [row.name for row in fields(Settings)]
    assert (report["settings"]["port"], report["settings"]["offline"]) == (9000, False)
    assert report["machine"]["threads"] == 1
    assert report["packages"]["openvino"][0].isdigit()


def test_doctor_settings_shows_the_value_and_the_variables_of_each(machine: Path) -> None:
    (machine / ".env").write_text("EMBEDSTACK_DRAIN_S=77\n")

    lines = good("doctor", "--settings").stdout.splitlines()

    assert lines[0] == "settings"
    assert [line.split()[0] for line in lines[1:]] == [row.name for row in fields(Settings)]
    (drain,) = (line for line in lines if "drain_s" in line)
    assert drain.split() == ["drain_s", "77", "EMBEDSTACK_DRAIN_S"]
    assert lines[-1].endswith("EMBEDSTACK_HF_TOKEN, HF_TOKEN")


@pytest.mark.parametrize("flags", [(), ("--json",), ("--settings",), ("--settings", "--json")])
@pytest.mark.parametrize("source", ["HF_TOKEN", "EMBEDSTACK_HF_TOKEN", ".env", "HF_ENDPOINT", "COLLECTIONS"])
def test_doctor_never_shows_a_secret(
    machine: Path, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...], source: str
) -> None:
    if source == ".env":
        (machine / ".env").write_text(f"HF_TOKEN={SECRET}\n")
    elif source == "HF_ENDPOINT":
        monkeypatch.setenv(source, f"https://me:{SECRET}@mirror.example/hub")
    elif source == "COLLECTIONS":
        monkeypatch.setenv(f"EMBEDSTACK_{source}", f"docs=postgresql://db.example/app?password={SECRET}#docs")
    else:
        monkeypatch.setenv(source, SECRET)

    result = good("doctor", *flags)

    assert SECRET not in result.output
    assert "***" in result.output


def test_doctor_says_when_there_is_no_secret() -> None:
    assert json.loads(good("doctor", "--settings", "--json").stdout)["settings"]["hf_token"] == ""


def test_doctor_makes_no_cache(machine: Path) -> None:
    good("doctor")

    assert not (machine / "cache").exists()
