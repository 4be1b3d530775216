"""`embedstack dedupe`: what it prints in each form, what it says beside that, what it refuses; it changes nothing."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from embedstack.errors import BadRequest, ConfigError, Unsupported
from support.commands import COMMAND, PATIENCE_S, good, process, run
from support.doubled import files, png
from support.pictures import picture, saved
from support.tiny_clip import write_clip

pytestmark = pytest.mark.usefixtures("machine")


@pytest.fixture(scope="package")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_clip(tmp_path_factory.mktemp("pictures") / "clip"))


@pytest.fixture
def docs(machine: Path) -> str:
    files(machine / "docs", a__txt="sun", b__txt="sun", c__txt="moon tree stone water king")
    return "docs"


def state(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


# ------------------------------------------------------------------------------------------------ what it prints


def test_each_group_begins_with_what_is_kept(docs: str, embedder: str) -> None:
    result = good("dedupe", docs, "-m", embedder, "--keep", "name", "-t", "0.999")

    assert result.stdout == (
        "docs/a.txt\n"
        "  docs/b.txt: same bytes as docs/a.txt; 3 bytes\n"
        "\n"
        "3 texts: 1 is a duplicate of 1 other; without them 3 bytes are saved\n"
    )


def test_for_machines_there_is_one_object(docs: str, embedder: str) -> None:
    made = json.loads(good("dedupe", docs, "-m", embedder, "--keep", "name", "-t", "0.999", "--json").stdout)

    models = made.pop("models")
    assert (models["text"]["model"], len(models["text"]["space"])) == ("bert-mean", 32)
    assert made == {
        "threshold": 0.999,
        "exact": False,
        "items": {"text": 3},
        "groups": [
            {
                "type": "text",
                "cluster": 0,
                "keep": "docs/a.txt",
                "duplicates": [
                    {
                        "item": "docs/b.txt",
                        "similarity": 1.0,
                        "kind": "exact",
                        "level": "EXACT",
                        "reason": "same bytes as docs/a.txt",
                        "size_bytes": 3,
                        "nearest": {"item": "docs/a.txt", "similarity": 1.0},
                    }
                ],
                "also_kept": [],
                "saved_bytes": 3,
            }
        ],
        "total_saved_bytes": 3,
        "left_out": [],
        "skipped": {},
    }


def test_where_nothing_is_found_it_says_so(embedder: str, machine: Path) -> None:
    files(machine, a__txt="sun", b__txt="moon tree stone water king")

    assert good("dedupe", ".", "-m", embedder, "-t", "1").stdout == "2 texts: no duplicates\n"


def test_a_list_has_the_names_of_the_duplicates_alone(docs: str, embedder: str) -> None:
    listed = good("dedupe", docs, "-m", embedder, "--keep", "name", "-t", "0.999", "--list")
    with_null = good("dedupe", docs, "-m", embedder, "--keep", "name", "-t", "0.999", "--list", "-0")

    assert listed.stdout == "docs/b.txt\n"
    assert with_null.stdout == "docs/b.txt\0"


def test_a_name_of_two_lines_is_listed_with_null_only(machine: Path, embedder: str) -> None:
    (machine / "docs").mkdir()
    for name in ("a.txt", "two\nlines.txt"):
        (machine / "docs" / name).write_text("sun")

    refused = run("dedupe", "docs", "-m", embedder, "--keep", "name", "--list")
    listed = good("dedupe", "docs", "-m", embedder, "--keep", "name", "--list", "-0")

    assert isinstance(refused.exception, BadRequest)
    assert "has a line break in its name, so lines cannot part names; add -0" in str(refused.exception)
    assert refused.stdout == ""
    assert listed.stdout == "docs/two\nlines.txt\0"


def test_an_id_with_a_null_is_never_listed(machine: Path) -> None:
    rows = [{"id": "a", "vector": [1, 0]}, {"id": "c\0d", "vector": [1, 0]}]
    (machine / "v.jsonl").write_text("\n".join(map(json.dumps, rows)))

    refused = run("dedupe", "v.jsonl", "--keep", "name", "--list", "-0")

    assert isinstance(refused.exception, BadRequest)
    assert "has a NUL in its name" in str(refused.exception)
    assert refused.stdout == ""


def test_people_see_no_control_characters_of_names(machine: Path, embedder: str) -> None:
    for name in ("a.txt", "b\x1b[31m\n.txt"):
        (machine / name).write_text("sun")

    said = good("dedupe", ".", "-m", embedder, "--keep", "name")

    assert "  b\\x1b[31m\\n.txt: same bytes as a.txt;" in said.stdout


def test_names_that_are_no_utf8_come_out_as_they_are(machine: Path, embedder: str) -> None:
    (machine / "a.txt").write_text("sun")
    (machine / os.fsdecode(b"\xff.txt")).write_text("sun")

    listed = good("dedupe", ".", "-m", embedder, "--keep", "name", "--list")
    made = json.loads(good("dedupe", ".", "-m", embedder, "--keep", "name", "--json").stdout)

    assert listed.stdout_bytes == b"\xff.txt\n"
    assert os.fsencode(made["groups"][0]["duplicates"][0]["item"]) == b"\xff.txt"


def test_names_of_all_scripts_stand_in_json_as_they_are(machine: Path, embedder: str) -> None:
    files(machine / "docs", Привет__txt="sun", мир__txt="sun")

    assert "docs/Привет.txt" in good("dedupe", "docs", "-m", embedder, "--json").stdout


def test_a_file_is_written_where_it_was_wished(docs: str, embedder: str) -> None:
    result = good("dedupe", docs, "-m", embedder, "--json", "--out", "report.json")

    assert result.stdout == ""
    assert json.loads(Path("report.json").read_text())["items"] == {"text": 3}
    assert not list(Path().glob("*.partial"))


def test_nothing_is_changed(docs: str, embedder: str) -> None:
    before = state(Path(docs))

    good("dedupe", docs, "-m", embedder)

    assert state(Path(docs)) == before


# ------------------------------------------------------------------------------------------------ rules and sources


def test_the_rules_are_asked_in_their_order(machine: Path, embedder: str) -> None:
    files(machine / "docs", a__txt="sun", b__txt="sun", c__txt="sun")
    for name, modified_s in (("a", 1), ("b", 9), ("c", 9)):
        os.utime(f"docs/{name}.txt", (modified_s, modified_s))

    newest = good("dedupe", "docs", "-m", embedder, "--keep", "newest", "--keep", "name").stdout
    oldest = good("dedupe", "docs", "-m", embedder, "--keep", "oldest").stdout

    assert newest.startswith("docs/b.txt\n")
    assert oldest.startswith("docs/a.txt\n")


def test_rows_are_read_from_the_field_that_was_named(machine: Path, embedder: str) -> None:
    files(machine, faq__csv="id,question\n1,sun\n2,sun\n")

    said = good("dedupe", "faq.csv", "--text-field", "question", "-m", embedder, "--keep", "first").stdout

    assert "  faq.csv#id=2: same text as faq.csv#id=1" in said


def test_lines_are_items_where_that_is_wished(machine: Path, embedder: str) -> None:
    files(machine, a__txt="sun\nmoon tree stone\nsun\n")

    said = good("dedupe", "a.txt", "--lines", "-m", embedder, "--keep", "first").stdout

    assert "  a.txt:3: same text as a.txt:1" in said


def test_vectors_of_lines_need_no_model(machine: Path) -> None:
    rows = [{"id": "a", "vector": [1, 0]}, {"id": "b", "vector": [0.94, 0.34]}, {"id": "c", "vector": [0.77, 0.64]}]
    files(machine, rows__jsonl="".join(f"{json.dumps(row)}\n" for row in rows))

    apart, chained = good("dedupe", "rows.jsonl").stdout, good("dedupe", "rows.jsonl", "--chained").stdout

    assert "also kept, near only through these: c" in apart
    assert "  c: near only through others; cosine 0.7690 to a, which comes first by name; 8 bytes" in chained


# ------------------------------------------------------------------------------------------------ pictures


@pytest.mark.slow
def test_a_picture_that_was_saved_again_or_made_smaller_is_a_duplicate_of_the_larger(machine: Path, clip: str) -> None:
    scene = picture("RGB", 333, 250)
    turned = scene.transpose(Image.Transpose.FLIP_TOP_BOTTOM).rotate(33)
    files(
        machine / "photos",
        a__png=saved(scene, "PNG"),
        b__jpg=saved(scene, "JPEG", quality=70),
        c__webp=saved(scene.resize((240, 180)), "WEBP"),
        d__png=saved(turned, "PNG"),
    )

    made = json.loads(
        good("dedupe", "photos", "-m", clip, "-t", "0.99", "--keep", "resolution", "--keep", "largest", "--json").stdout
    )

    (group,) = made["groups"]
    assert group["keep"] == "photos/a.png"
    assert [(one["item"], one["kind"]) for one in group["duplicates"]] == [
        ("photos/b.jpg", "near"),
        ("photos/c.webp", "near"),
    ]
    assert group["duplicates"][1]["reason"].endswith("to photos/a.png, which has more pixels")


@pytest.mark.slow
def test_a_broken_picture_is_named_and_the_others_are_compared(machine: Path, clip: str) -> None:
    whole = png(300, 200)
    files(machine / "photos", a__png=whole, b__png=whole[:2000], c__png=png(299, 200), d__png=whole)

    result = good("dedupe", "photos", "-m", clip, "-t", "0.9999999", "--keep", "name", "--list")

    assert result.stdout == "photos/d.png\n"
    assert "warning: photos/b.png: it (png) cannot be decoded (image file is truncated)" in result.stderr
    assert "warning: 1 were not compared; a file among them only by its bytes" in result.stderr


@pytest.mark.slow
def test_each_type_has_the_first_model_that_reads_it(docs: str, embedder: str, clip: str) -> None:
    files(Path(docs), d__png=png())

    made = json.loads(good("dedupe", docs, "-m", embedder, "-m", clip, "--json").stdout)

    assert {kind: one["model"] for kind, one in made["models"].items()} == {"text": "bert-mean", "image": "clip"}


def test_a_model_that_reads_no_pictures_is_refused(docs: str, embedder: str) -> None:
    files(Path(docs), d__png=png())

    result = run("dedupe", docs, "-m", embedder)

    assert isinstance(result.exception, Unsupported)
    assert "bert-mean' cannot make vectors of pictures; add --model with one that can" in str(result.exception)


# ------------------------------------------------------------------------------------------------ only what is equal


@pytest.fixture
def photos(machine: Path) -> str:
    files(machine / "photos", a__png=png(), b__png=png(), c__png=png(31))
    return "photos"


def test_equal_files_are_found_where_no_model_is(photos: str) -> None:
    said = good("dedupe", photos, "--exact", "--keep", "name", "--offline")

    assert said.stdout.startswith("photos/a.png\n  photos/b.png: same bytes as photos/a.png;")
    assert "3 pictures: 1 is a duplicate of 1 other" in said.stdout
    assert said.stderr == ""


def test_where_no_model_is_the_error_says_what_is_found_without(photos: str) -> None:
    result = run("dedupe", photos, "--offline")

    assert result.exception.exit_code == 2
    assert "'clip-vit-base-patch32' is not here and offline mode forbids to fetch it" in str(result.exception)
    assert str(result.exception).endswith("; without a model --exact finds pictures that are equal")


def test_machines_hear_that_nothing_else_was_compared(photos: str) -> None:
    made = json.loads(good("dedupe", photos, "--exact", "--json").stdout)

    assert (made["threshold"], made["exact"], made["models"]) == (None, True, {})


@pytest.mark.parametrize("words", [["-t", "0.9"], ["-m", "clip-vit-base-patch32"], ["--chained"]])
def test_what_says_how_near_things_are_does_not_go_with_it(photos: str, words: list[str]) -> None:
    result = run("dedupe", photos, "--exact", *words)

    assert isinstance(result.exception, BadRequest)
    assert "would change nothing; leave it out" in str(result.exception)


# ------------------------------------------------------------------------------------------------ beside, refusals


def test_what_was_passed_over_and_left_out_is_told_on_stderr(docs: str, embedder: str) -> None:
    files(Path(docs), **{f"bad{number:02}__txt": bytes([255, number]) for number in range(12)}, x__pdf="x")

    said = good("dedupe", docs, "-m", embedder).stderr.splitlines()

    assert sum("is not UTF-8" in line for line in said) == 10
    assert said[-3:] == [
        "warning: and 2 others; --json names all",
        "warning: 12 were not compared; a file among them only by its bytes",
        "passed over: 1 .pdf",
    ]


def test_a_model_that_was_named_for_nothing_is_told(machine: Path) -> None:
    files(machine, rows__jsonl='{"vector": [1, 0]}\n')

    said = good("dedupe", "rows.jsonl", "-m", "anything").stderr

    assert "model 'anything' was named for nothing: there was nothing for it to read" in said


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (["--json", "--list"], BadRequest, "--json and --list exclude each other"),
        (["-0"], BadRequest, "add --list, or leave it out"),
        (["--out", "no/report"], ConfigError, "there is no folder 'no'"),
    ],
)
def test_what_does_not_go_together_is_told_before_the_work(
    docs: str, words: list[str], error: type[Exception], message: str
) -> None:
    result = run("dedupe", docs, *words)

    assert isinstance(result.exception, error)
    assert message in str(result.exception)


@pytest.mark.parametrize("words", [["-t", "0"], ["-t", "1.01"], ["--keep", "best"]])
def test_what_is_no_threshold_and_no_rule_is_refused(docs: str, words: list[str]) -> None:
    assert run("dedupe", docs, *words).exit_code == 2


@pytest.mark.slow
def test_a_user_sees_a_line_and_an_exit_code(machine: Path) -> None:
    done = process("dedupe", "gone")

    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr == b"error: 'gone' is not there; name files, folders, tables or DATABASE#COLLECTION\n"


@pytest.mark.slow
def test_what_is_listed_can_be_deleted_and_what_is_kept_stays(machine: Path, embedder: str) -> None:
    for name in ("a.txt", "-rf.txt", "two\nlines.txt", os.fsdecode(b"\xff.txt"), "other.txt"):
        (machine / name).write_text("moon tree" if name == "other.txt" else "sun")
    call = [*COMMAND, "dedupe", ".", "-m", embedder, "-t", "1", "--keep", "newest", "--list", "-0"]
    os.utime("a.txt", (2e9, 2e9))

    listed = subprocess.run(call, capture_output=True, timeout=PATIENCE_S, check=True).stdout
    subprocess.run(["xargs", "-0", "rm", "--"], input=listed, timeout=PATIENCE_S, check=True)

    assert sorted(path.name for path in machine.iterdir() if path.is_file()) == ["a.txt", "other.txt"]


# ------------------------------------------------------------------------------------------------ real weights


@pytest.mark.weights
@pytest.mark.slow
def test_texts_that_say_the_same_are_near_and_others_are_not(machine: Path, minilm_folder: Path) -> None:
    clause = "The supplier delivers the goods within thirty days after the order was placed in writing. "
    files(
        machine / "docs",
        berlin__txt=clause * 40 + "Signed in Berlin.",
        paris__txt=clause * 40 + "Signed in Paris.",
        panda__txt="Panda bears eat bamboo, mostly in the mountains of China.",
        pandas__txt="Panda bears eat bamboo, mostly in the mountains of China!",
        stocks__txt="Stock prices fell sharply on Monday.",
    )

    made = json.loads(good("dedupe", "docs", "-m", str(minilm_folder), "--keep", "name", "--json").stdout)

    found = {group["keep"]: [one["item"] for one in group["duplicates"]] for group in made["groups"]}
    assert found == {"docs/berlin.txt": ["docs/paris.txt"], "docs/panda.txt": ["docs/pandas.txt"]}
