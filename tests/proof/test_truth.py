"""Truth is float64's, kept for one space and one set of probes, read without trust and made anew when in doubt."""

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embedstack.catalog import Located, find
from embedstack.errors import ConfigError
from embedstack.proof import kept as kept_module
from embedstack.proof import truth as module
from embedstack.proof.kept import SHIPPED, WITH_MULTI, Truth, kept, packed, place, read
from embedstack.proof.probes import probes
from embedstack.proof.truth import ensure, make
from embedstack.settings import DEFAULT_MODEL
from support.confusion import tiny_folder
from support.tiny import CASES, write

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Located:
    root = tmp_path_factory.mktemp("tiny")
    return find(str(tiny_folder("bert-mean", root)), cache_dir=root)


@pytest.fixture(scope="module")
def made(tiny: Located) -> Truth:
    return Truth(tiny.spec.space, make(tiny.spec, tiny.folder, probes(tiny.spec).all))


def equal(one: Truth, other: Truth) -> bool:
    return one.space == other.space and all(
        np.array_equal(row, other.rows[output][name]) for output, rows in one.rows.items() for name, row in rows.items()
    )


def test_each_row_is_what_its_text_gets_alone(tiny: Located, made: Truth) -> None:
    some = probes(tiny.spec).named("word", "medium-query", "past-limit")

    alone = [make(tiny.spec, tiny.folder, [probe])["dense"][probe.name] for probe in some]

    assert all(np.abs(row - made.rows["dense"][p.name]).max() <= 1e-6 for row, p in zip(alone, some, strict=True))


def test_it_is_kept_and_read_again(tiny: Located, tmp_path: Path) -> None:
    first = ensure(tiny.spec, tiny.folder, tmp_path)

    assert place(tiny.spec, tmp_path) == tmp_path / "truth" / f"{tiny.spec.space}.npz"
    assert equal(first, kept(tiny.spec, tmp_path))  # type: ignore[arg-type]


def test_what_is_kept_is_not_made_again(tiny: Located, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ensure(tiny.spec, tiny.folder, tmp_path)
    monkeypatch.setattr(module, "make", None)

    assert ensure(tiny.spec, tiny.folder, tmp_path).space == tiny.spec.space


def test_the_late_text_is_added_when_it_is_asked_for(
    tiny: Located, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("embedstack.proof.probes.LATE_TOKENS", 10)
    early = ensure(tiny.spec, tiny.folder, tmp_path)

    late = ensure(tiny.spec, tiny.folder, tmp_path, late=True)

    assert set(late.rows["dense"]) - set(early.rows["dense"]) == {"past-limit"}
    assert equal(early, late)


def test_truth_of_another_space_is_not_read(tiny: Located, made: Truth, tmp_path: Path) -> None:
    (tmp_path / "t.npz").write_bytes(packed(made))

    assert read(tmp_path / "t.npz", replace(tiny.spec, pooling="cls")) is None
    assert read(tmp_path / "t.npz", tiny.spec) is not None


def test_truth_of_other_probes_is_not_read(
    tiny: Located, made: Truth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "t.npz").write_bytes(packed(made))
    monkeypatch.setattr(kept_module, "digest", lambda: "another")

    assert read(tmp_path / "t.npz", tiny.spec) is None


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "pickle", "nan", "rows", "width", "array", "unpacker"])
def test_a_broken_file_is_made_anew(damage: str, tiny: Located, made: Truth, tmp_path: Path) -> None:
    path = place(tiny.spec, tmp_path)
    path.parent.mkdir(parents=True)
    whole = packed(made)
    poisoned = {name: row * np.nan for name, row in made.rows["dense"].items()}
    match damage:
        case "cut":
            path.write_bytes(whole[: len(whole) // 2])
        case "empty":
            path.write_bytes(b"")
        case "text":
            path.write_text("no archive")
        case "pickle":
            np.savez(path, about=np.array([{"a": 1}], object))
        case "nan":
            path.write_bytes(packed(Truth(made.space, {"dense": poisoned})))
        case "rows":
            with np.load(io.BytesIO(whole)) as file:
                np.savez(path, about=file["about"], dense=file["dense"][:-1])
        case "width":
            narrow = {name: row[:-1] for name, row in made.rows["dense"].items()}
            path.write_bytes(packed(Truth(made.space, {"dense": narrow})))
        case "array":
            with path.open("wb") as file:
                np.save(file, made.rows["dense"]["short"])
        case "unpacker":
            with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as file, np.load(io.BytesIO(whole)) as before:
                file.writestr("about.npy", before.zip.read("about.npy"))

    assert kept(tiny.spec, tmp_path) is None
    assert equal(ensure(tiny.spec, tiny.folder, tmp_path), made)


@pytest.mark.parametrize("ends", [[2, 2, 3], [-1, 1, 3], [1, 3, 3], []])
def test_rows_that_are_not_one_after_the_other_are_not_believed(
    ends: list[int], tiny: Located, made: Truth, tmp_path: Path
) -> None:
    few = {name: made.rows["dense"][name] for name in ("short", "word", "letter")}
    with np.load(io.BytesIO(packed(Truth(made.space, {"dense": few})))) as file:
        about = {**json.loads(str(file["about"])), "ends": {"dense": ends}}
        np.savez(tmp_path / "t.npz", about=np.array(json.dumps(about)), dense=file["dense"])

    assert read(tmp_path / "t.npz", tiny.spec) is None


@pytest.mark.slow
def test_no_damaged_byte_ends_in_a_traceback(tiny: Located, made: Truth, tmp_path: Path) -> None:
    few = {name: made.rows["dense"][name] for name in ("short", "word", "letter")}
    whole, path = packed(Truth(made.space, {"dense": few})), tmp_path / "t.npz"

    for at in (*range(0, len(whole) // 2, 31), *range(len(whole) // 2, len(whole), 3)):  # its table is at the end
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x2D]) + whole[at + 1 :])
        found = read(path, tiny.spec)

        assert found is None or equal(found, Truth(made.space, {"dense": few}))


def test_a_tokeniser_of_another_model_is_refused(tmp_path: Path) -> None:
    located = find(str(write(CASES["bert-mean"], tmp_path / "m")), cache_dir=tmp_path)  # its `9` is past the table

    with pytest.raises(ConfigError, match=r"does not fit its weights \(.*'##9', whose id is outside 0\.\.133"):
        make(located.spec, located.folder, probes(located.spec).all)


def test_sparse_and_multi_are_the_engines_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDSTACK_CACHE_DIR", str(tmp_path))
    from embedstack import load

    located = find(str(GOLDEN / "bge_m3_tiny"), cache_dir=tmp_path)
    rows = make(located.spec, located.folder, probes(located.spec).named("short", "word"))
    with load(str(GOLDEN / "bge_m3_tiny"), runtime="numpy") as model:
        text = probes(located.spec).named("short")[0].item.text  # type: ignore[union-attr]
        said = model.encode(text, outputs=("sparse", "multi"))

    assert np.array_equal(rows["sparse"]["short"][:, 0], said.sparse[0].ids)
    assert np.abs(rows["sparse"]["short"][:, 1] - said.sparse[0].weights).max() <= 1e-6
    assert rows["multi"]["short"].shape == said.multi[0].shape
    assert set(WITH_MULTI) >= set(rows["multi"])


def test_a_pulled_models_truth_lies_beside_its_weights(tiny: Located, tmp_path: Path) -> None:
    pulled = replace(tiny.spec, name="org/name", revision="a" * 40)
    folder = tmp_path / "models/org--name" / ("a" * 40)

    before = place(pulled, tmp_path)
    folder.mkdir(parents=True)

    assert before.parent == tmp_path / "truth"
    assert place(pulled, tmp_path) == folder / "truth.npz"


def test_a_folder_that_cannot_be_written_to_costs_only_time(tiny: Located, made: Truth, tmp_path: Path) -> None:
    (tmp_path / "truth").write_text("a file where the folder should be")

    assert equal(ensure(tiny.spec, tiny.folder, tmp_path), made)


@pytest.mark.weights
@pytest.mark.slow
def test_the_default_models_truth_ships_and_is_what_float64_says(minilm_folder: Path, tmp_path: Path) -> None:
    located = find(str(minilm_folder), cache_dir=tmp_path)
    shipped = kept(located.spec, tmp_path)
    some = probes(located.spec).named("word-query", "accents", "code", "past-limit")

    again = make(located.spec, located.folder, some)["dense"]

    assert shipped is not None
    assert all(shipped.has(probe, ("dense",)) for probe in probes(located.spec).all)
    assert max(np.abs(again[p.name] - shipped.rows["dense"][p.name]).max() for p in some) <= 1e-6
    assert (SHIPPED / f"{DEFAULT_MODEL}.npz").stat().st_size < 150_000
