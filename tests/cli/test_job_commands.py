"""`embedstack job` from the plan to the report: what is said, what is left behind, and how it is refused."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from embedstack.cli import cli
from embedstack.cli.job_run import careful_words
from embedstack.cli.job_work import careful_of, part_of
from embedstack.errors import BadRequest, ConfigError, Mismatch
from embedstack.storage.storage import Missing
from support.commands import PATIENCE_S, good, run, settings_only

pytestmark = pytest.mark.slow
PAGES = 6
PAGE = "---\ntitle: Page {0}\n---\n# Page {0}\n\nThe tide of day {0} rose.\n"
SMALL = ("--chunk-tokens", "24", "--shard-docs", "2", "--checkpoint-docs", "4")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of pages, in an environment in which nothing is set."""
    root = tmp_path_factory.mktemp("job")
    (root / "pages").mkdir()
    for number in range(PAGES):
        (root / "pages" / f"page-{number}.md").write_text(PAGE.format(number))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings_only(EMBEDSTACK_CACHE_DIR=str(root / "cache")).items():
            patch.setenv(name, value)
        patch.chdir(root)
        yield root


@pytest.fixture(scope="module")
def done(place: Path, embedder_folder: str) -> Path:
    """A job that was planned and run."""
    planned(place / "done", embedder_folder)
    good("job", "run", "done", "--processes", "0")
    return place / "done"


@pytest.fixture(scope="module")
def embedder_folder(folders: dict[str, str]) -> str:
    return folders["bert-mean"]


@pytest.fixture
def copied(done: Path, tmp_path: Path) -> Path:
    """The same job, to be damaged."""
    return Path(shutil.copytree(done, tmp_path / "copied"))


def planned(out: Path, model: str, *more: str) -> str:
    return good("job", "plan", "pages", "--output", str(out), "--model", model, *SMALL, *more).output


def lines_of(output: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


# ------------------------------------------------------------------------------------------------ planning


def test_a_plan_says_how_much_it_is_and_what_to_type_next(place: Path, embedder_folder: str) -> None:
    said = planned(place / "said", embedder_folder)

    assert f"{PAGES} documents in {PAGES} files" in said
    assert f"embedstack job run {place / 'said'}" in said


def test_planning_the_same_again_changes_nothing(done: Path, embedder_folder: str) -> None:
    before = (done / "plan.json").read_bytes()

    planned(done, embedder_folder)

    assert (done / "plan.json").read_bytes() == before


def test_what_to_type_next_has_what_the_run_needs_too(place: Path, embedder_folder: str) -> None:
    assert planned(place / "single", embedder_folder, "--single-writer").endswith("single --single-writer\n")


def test_rows_with_one_id_make_no_plan(place: Path, embedder_folder: str) -> None:
    rows = [{"doc_id": "a", "chunk": number, "text": f"text {number}"} for number in range(2)]
    (place / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    result = run("job", "plan", "r.jsonl", "-o", "same", "-m", embedder_folder)

    assert isinstance(result.exception, ConfigError)
    assert "row 0 of 'r.jsonl' and row 1 of 'r.jsonl'" in str(result.exception)
    assert not (place / "same" / "plan.json").exists()
    assert "warning: 1 of 2 rows" in planned_rows(place, embedder_folder, "doc_id")
    assert "warning" not in planned_rows(place, embedder_folder, "chunk")


def planned_rows(place: Path, model: str, id_field: str) -> str:
    return good("job", "plan", "r.jsonl", "-o", f"by-{id_field}", "-m", model, "--id-field", id_field).output


def test_another_plan_in_the_same_place_is_refused_and_named(done: Path, embedder_folder: str) -> None:
    result = run("job", "plan", "pages", "-o", str(done), "--model", embedder_folder, *SMALL, "--float16")

    assert isinstance(result.exception, Mismatch)
    assert "storing 'float32' -> 'float16'" in str(result.exception)


def test_a_plan_is_printed_for_machines(done: Path, embedder_folder: str) -> None:
    said = json.loads(
        good("job", "plan", "pages", "-o", str(done), "--model", embedder_folder, *SMALL, "--json").stdout
    )

    assert (said["plan"]["docs"], said["plan"]["wish"]["chunking"]["tokens"]) == (PAGES, 24)


def test_a_price_without_an_estimate_is_refused() -> None:
    result = run("job", "plan", "pages", "-o", "out", "--price", "1")

    assert isinstance(result.exception, BadRequest)
    assert "--estimate" in str(result.exception)


def test_a_folder_without_documents_is_refused_before_a_model_is_loaded(place: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    result = run("job", "plan", str(tmp_path / "empty"), "-o", str(tmp_path / "out"), "-m", "./nowhere")

    assert isinstance(result.exception, ConfigError)
    assert str(tmp_path / "empty") in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_an_output_that_is_a_file_is_refused_before_a_model_is_loaded(place: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("not yours")

    result = run("job", "plan", "pages", "-o", str(tmp_path / "out"), "-m", "./nowhere")

    assert isinstance(result.exception, ConfigError)
    assert str(tmp_path / "out") in str(result.exception)


def test_a_model_in_a_folder_is_planned_by_its_whole_name(place: Path, embedder_folder: str) -> None:
    shutil.copytree(embedder_folder, place / "models" / "mine")

    planned(place / "from-elsewhere", "./models/mine")

    made = json.loads((place / "from-elsewhere" / "plan.json").read_bytes())
    assert made["wish"]["model"] == str(place / "models" / "mine")


def test_chunks_are_as_long_as_the_model_takes_where_nobody_says(place: Path, embedder_folder: str) -> None:
    out = str(place / "usual")
    said = json.loads(good("job", "plan", "pages", "-o", out, "-m", embedder_folder, "--json").stdout)

    assert said["plan"]["wish"]["chunking"]["tokens"] == said["plan"]["identity"]["max_tokens"]


# ------------------------------------------------------------------------------------------------ running


def test_a_run_leaves_a_table_a_manifest_and_a_report(done: Path) -> None:
    rows = sum(pq.read_table(path).num_rows for path in (done / "data").iterdir())

    assert rows == json.loads((done / "_manifest.json").read_bytes())["rows"] > 0
    assert (done / "_SUCCESS").exists()
    assert "<svg" in (done / "report.html").read_text()


def test_what_is_done_is_not_done_again(done: Path) -> None:
    said = lines_of(good("job", "run", str(done), "--processes", "0", "--json").stdout)

    assert not [line for line in said if line["event"] == "took"]
    assert said[-1] == {"event": "ended", "done": 0, "lost": 0, "error": "", "code": "", "exit_code": 0}


def test_a_job_that_is_finished_needs_no_model(done: Path) -> None:
    good("job", "run", str(done), "--model", "./nowhere", "--processes", "0")


def test_a_finished_job_of_which_a_file_is_gone_is_mended(copied: Path) -> None:
    part = min((copied / "data").iterdir())
    part.unlink()

    good("job", "run", str(copied), "--processes", "0")

    assert "6 documents" in good("job", "verify", str(copied)).stdout


@pytest.mark.slow
def test_a_finished_job_is_still_held_against_a_lower_budget(tmp_path: Path, place: Path, embedder_folder: str) -> None:
    pages, out = tmp_path / "some", str(tmp_path / "out")
    pages.mkdir()
    (pages / "good.md").write_text(PAGE.format(1))
    (pages / "bad.md").write_bytes(b"\xff")
    good("job", "plan", str(pages), "--output", out, "--model", embedder_folder, *SMALL)
    good("job", "run", out, "--processes", "0", "--max-dead", "1")

    assert run("job", "run", out, "--processes", "0", "--max-dead", "0").exit_code == 7


def test_whatever_goes_wrong_the_last_line_for_machines_is_the_end(place: Path) -> None:
    result = run("job", "run", "nowhere", "--json")

    (ended,) = lines_of(result.stdout)
    assert (ended["event"], ended["exit_code"]) == ("ended", result.exit_code)
    assert "embedstack job plan" in ended["error"]


def test_a_password_is_not_handed_on_in_a_list_of_processes(done: Path) -> None:
    result = run("job", "run", str(done), "--via", "http://me:secret@127.0.0.1:9")

    assert isinstance(result.exception, BadRequest)
    assert "secret" not in str(result.exception)


def test_events_are_lines_of_json_with_totals_and_an_end(place: Path, embedder_folder: str) -> None:
    planned(place / "events", embedder_folder)

    said = lines_of(good("job", "run", "events", "--processes", "0", "--json").stdout)

    assert [line["event"] for line in said].count("did") == PAGES / 2
    totals = [line for line in said if line["event"] == "totals"][-1]
    assert (totals["share"], totals["docs_done"]) == (1.0, PAGES)


@pytest.mark.faults
@pytest.mark.parametrize("processes", ["1", "2"])
def test_processes_of_their_own_leave_the_same_rows(
    place: Path, done: Path, embedder_folder: str, processes: str
) -> None:
    planned(place / f"processes-{processes}", embedder_folder)

    good("job", "run", f"processes-{processes}", "--processes", processes)

    made, before = (
        json.loads((place / name / "_manifest.json").read_bytes()) for name in (f"processes-{processes}", "done")
    )
    assert made["rows_digest"] == before["rows_digest"]


def test_a_changed_file_is_refused_by_name(place: Path, embedder_folder: str) -> None:
    shutil.copytree(place / "pages", place / "other-pages")
    good("job", "plan", "other-pages", "-o", "changed", "-m", embedder_folder, *SMALL)
    (place / "other-pages" / "page-3.md").write_text("Something else.\n")

    result = run("job", "run", "changed", "--processes", "0")

    assert result.exit_code == 3
    assert "page-3.md" in result.output


def test_what_a_refused_run_advises_is_planned_and_said(place: Path, embedder_folder: str) -> None:
    shutil.copytree(place / "pages", place / "saved-pages")
    good("job", "plan", "saved-pages", "-o", "unsaved", "-m", embedder_folder, *SMALL)
    good("job", "run", "unsaved", "--processes", "0")
    (place / "unsaved" / "_commits" / "000001.json").unlink()
    for name in ("_manifest.json", "_SUCCESS"):
        (place / "unsaved" / name).unlink()
    os.utime(place / "saved-pages" / "page-3.md", (1, 1))
    refused = run("job", "run", "unsaved", "--processes", "0").output
    (url,) = re.findall(r"--since (\S+)$", refused.strip())

    said = good("job", "plan", "saved-pages", "-o", "saved", "-m", embedder_folder, *SMALL, "--since", url).output
    assert f"2 of 3 shards of {url} (not finished) lend their vectors" in said
    assert "--prune" in said
    done = good("job", "run", "saved", "--processes", "0").output
    assert "vectors came from the job before" in done


def test_a_dry_run_says_what_is_left_and_does_nothing(place: Path, embedder_folder: str) -> None:
    planned(place / "dry", embedder_folder)

    said = json.loads(good("job", "run", "dry", "--dry-run", "--json").stdout)

    assert (said["shards"], said["docs"], said["new_files"]) == (PAGES / 2, PAGES, 0)
    assert not (place / "dry" / "data").exists()


def test_a_sample_is_a_small_job_below(place: Path, embedder_folder: str) -> None:
    planned(place / "sampled", embedder_folder)

    said = good("job", "run", "sampled", "--sample", "3", "--processes", "0").output

    assert "new files" not in said
    assert "new files" not in good("job", "run", "sampled", "--sample", "3", "--dry-run").output
    assert json.loads((place / "sampled/_sample-3/_manifest.json").read_bytes())["docs"] == 3
    assert not (place / "sampled" / "data").exists()


def test_a_run_says_that_files_of_its_table_were_gone(copied: Path) -> None:
    min((copied / "data").iterdir()).unlink()

    said = good("job", "run", str(copied), "--processes", "0").output

    assert "files of 1 shards are missing or torn; these shards are done again" in said


def test_more_failures_than_allowed_have_an_exit_code_of_their_own(place: Path, embedder_folder: str) -> None:
    (place / "broken").mkdir()
    (place / "broken" / "good.md").write_text(PAGE.format(1))
    (place / "broken" / "bad.md").write_bytes(b"\xff\xfe no text\n")
    good("job", "plan", "broken", "-o", "failing", "-m", embedder_folder, *SMALL)

    refused = run("job", "run", "failing", "--processes", "0", "--max-dead", "0")
    status = good("job", "status", "failing").stdout
    allowed = run("job", "run", "failing", "--processes", "0", "--max-dead", "1")

    assert (refused.exit_code, allowed.exit_code) == (7, 0)
    assert "all committed, and no manifest: 1 of 1 shards" in status
    assert "bad_utf8 1" in refused.output


def test_a_scrape_is_answered_where_it_is_said(place: Path, embedder_folder: str) -> None:
    planned(place / "scraped", embedder_folder)

    said = good("job", "run", "scraped", "--processes", "0", "--metrics-port", "0").output

    assert "metrics: http://127.0.0.1:" in said


def test_several_processes_are_not_a_single_writer(done: Path) -> None:
    result = run("job", "run", str(done), "--single-writer", "--processes", "2")

    assert isinstance(result.exception, BadRequest)


# ------------------------------------------------------------------------------------------------ looking


def test_status_counts_what_is_committed(done: Path) -> None:
    said = json.loads(good("job", "status", str(done), "--json").stdout)

    assert (said["is_finished"], said["docs_done"], said["shards_done"]) == (True, PAGES, PAGES / 2)


def test_status_is_a_few_lines_for_people(done: Path) -> None:
    assert "finished: 3 of 3 shards (100.0%), 6 of 6 documents" in good("job", "status", str(done)).stdout


def test_status_of_what_is_not_finished_says_how_to_go_on(place: Path, embedder_folder: str) -> None:
    planned(place / "to do", embedder_folder)

    assert "go on with: embedstack job run 'to do'" in good("job", "status", "to do").stdout


@pytest.mark.parametrize("command", ["status", "verify", "gc", "report"])
def test_where_there_is_no_job_it_is_said(place: Path, command: str) -> None:
    result = run("job", command, str(place / "nowhere"))

    assert isinstance(result.exception, Missing)
    assert "embedstack job plan" in str(result.exception)


def test_verify_finds_nothing_wrong_with_what_was_made(done: Path) -> None:
    assert "6 documents" in good("job", "verify", str(done), "--deep").stdout


def test_verify_finds_a_part_that_was_changed_and_the_next_run_mends_it(copied: Path) -> None:
    part = min((copied / "data").iterdir())
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 255
    part.write_bytes(data)

    found = run("job", "verify", str(copied), "--deep")
    good("job", "verify", str(copied), "--deep", "--repair")
    good("job", "run", str(copied), "--processes", "0")

    assert isinstance(found.exception, Mismatch)
    good("job", "verify", str(copied), "--deep")


def test_verify_asks_the_model_for_the_probes_of_the_plan(done: Path, embedder_folder: str) -> None:
    said = json.loads(good("job", "verify", str(done), "--probes", "--model", embedder_folder, "--json").stdout)
    told = good("job", "verify", str(done), "--probes", "--model", embedder_folder).stdout

    assert (said["probes"], said["problems"]) == ([], [])
    assert "the model gives the plan's vectors for its probes" in told


def test_gc_says_what_it_would_delete(copied: Path) -> None:
    (copied / "data" / "part-000000-ffffffff.parquet").write_bytes(b"left by somebody who died")

    said = good("job", "gc", str(copied), "--older-than", "0", "--dry-run").stdout

    assert "would be deleted: 1 files" in said
    assert "part-000000-ffffffff.parquet" in said


def test_a_report_goes_into_a_file(done: Path, tmp_path: Path) -> None:
    good("job", "report", str(done), "--output", str(tmp_path / "page.html"))

    assert "<svg" in (tmp_path / "page.html").read_text()


def test_a_report_that_cannot_be_written_says_where(done: Path, tmp_path: Path) -> None:
    refused = run("job", "report", str(done), "--output", str(tmp_path / "nowhere" / "page.html"))

    assert isinstance(refused.exception, ConfigError)
    assert "nowhere/page.html' cannot be written" in str(refused.exception)


def test_the_table_is_exported_as_lines(done: Path) -> None:
    lines = good("job", "export", str(done), "--format", "jsonl").stdout.splitlines()

    assert {json.loads(line)["doc_id"] for line in lines} == {f"page-{number}.md" for number in range(PAGES)}


# ------------------------------------------------------------------------------------------------ the processes


def test_what_a_process_is_told_to_be_careful_with_is_read_as_it_was_written() -> None:
    careful = {12: frozenset({3, 17}), 4: frozenset()}

    assert careful_of(careful_words(careful)) == careful


@pytest.mark.parametrize("text", ["", "1", "2/2", "a/b", "-1/2"])
def test_what_is_no_part_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="--part"):
        part_of(text)


def test_the_part_that_processes_do_is_no_command_for_people() -> None:
    assert "work" not in good("job", "--help").stdout.partition("Commands:")[2]
    assert "job" in cli.list_commands(None)


@pytest.mark.faults
def test_the_process_that_watches_loads_no_device_and_no_tables() -> None:
    code = "import sys, embedstack.cli.job_run; sys.exit(bool({'openvino', 'pyarrow', 'obstore'} & set(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, timeout=PATIENCE_S)

    assert (done.returncode, done.stderr) == (0, b"")
