"""int8 goes on where it has passed its proof on this machine; it is proven once, allowed by name, or refused."""

import asyncio
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file

from embedstack.api import open_engine, open_pool
from embedstack.catalog import Located, find
from embedstack.engine.engine import Engine
from embedstack.errors import ConfigError, Mismatch, NotReady
from embedstack.model import Model
from embedstack.proof import noted
from embedstack.proof.diagnosis import Diagnosis
from embedstack.proof.fidelity import Fidelity
from embedstack.proof.kept import place
from embedstack.proof.noted import Note, prove_once
from embedstack.proof.prove import Report
from embedstack.proof.proving import Proving
from embedstack.proof.truth import ensure
from embedstack.runtimes.onnx import OnnxRuntime
from embedstack.settings import Settings, read_settings
from support.confusion import tiny_folder

OUTLIER = 1000  # times as large as its neighbours is one channel of what a product reads


@dataclass
class Machine:
    """A cache of its own, and what was said there."""

    cache: Path
    said: list[str]

    def settings(self, **more: object) -> Settings:
        flags = {"runtime": "onnx", "precision": "int8", "threads": 1, "lanes": 1, "cache_dir": self.cache, **more}
        return read_settings(flags, environ={})

    def open(self, located: Located, **more: object) -> None:
        open_engine(self.settings(**more), [str(located.folder)], say=self.said.append).close()

    def proofs(self) -> int:
        return sum("proving int8 once" in line for line in self.said)

    def keep_truth(self, located: Located, truths: Path) -> None:
        path = place(located.spec, self.cache)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(place(located.spec, truths), path)

    def note(self, located: Located, release: str = "1") -> Note:
        return Note(located.spec, self.cache, release)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "cache", [])


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tiny")


@pytest.fixture(scope="module")
def sound(root: Path) -> Located:
    return with_truth(tiny_folder("bert-mean", root), root)


@pytest.fixture(scope="module")
def coarse(root: Path) -> Located:
    """The same vectors in floats, and a model that 8 bits hurt: beside one large channel, which nothing reads, the
    others are rounded away.
    """
    folder = tiny_folder("bert-mean", root / "coarse")
    tensors = load_file(folder / "model.safetensors")
    tensors["encoder.layer.0.intermediate.dense.bias"][5] = OUTLIER
    tensors["encoder.layer.0.output.dense.weight"][:, 5] = 0
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return with_truth(folder, root)


def with_truth(folder: Path, truths: Path) -> Located:
    located = find(str(folder), cache_dir=truths)
    ensure(located.spec, located.folder, truths)
    return located


# ------------------------------------------------------------------------------------------------ without truth


def test_what_nothing_can_prove_is_refused_with_both_ways_out(sound: Located, machine: Machine) -> None:
    with pytest.raises(ConfigError) as refused:
        machine.open(sound)

    assert str(refused.value) == (
        f"int8 of 'bert-mean' is not proven here; prove it first with `embedstack models prove {sound.folder} "
        "--runtime onnx --precision int8`, or allow it with the setting allow_unproven (--allow-unproven, "
        "EMBEDSTACK_ALLOW_UNPROVEN=true)"
    )


def test_a_pool_refuses_it_too(sound: Located, machine: Machine) -> None:
    with pytest.raises(ConfigError, match="is not proven here"):
        open_pool(machine.settings(), [str(sound.folder)], say=machine.said.append)


def test_what_is_allowed_runs_and_counts_as_unproven(sound: Located, machine: Machine) -> None:
    pool = open_pool(machine.settings(allow_unproven=True), [str(sound.folder)], say=machine.said.append)
    try:
        assert pool.proof == "unproven"
    finally:
        pool.close()


def test_what_another_runtime_says_to_int8_is_said_by_it(sound: Located, machine: Machine) -> None:
    with pytest.raises(ConfigError, match="use it with runtime onnx"):
        machine.open(sound, runtime="openvino")


def test_floats_need_no_note(sound: Located, machine: Machine) -> None:
    machine.open(sound, precision="float32")

    assert machine.proofs() == 0
    assert not (machine.cache / "proven").exists()


# ------------------------------------------------------------------------------------------------ with truth


def test_what_can_be_proven_is_proven_once_and_remembered(sound: Located, machine: Machine, root: Path) -> None:
    machine.keep_truth(sound, root)

    machine.open(sound)
    first = machine.proofs()
    machine.open(sound)

    assert (first, machine.proofs()) == (1, 1)


@pytest.mark.slow
def test_a_pool_proves_it_once_and_serves_it_as_proven(sound: Located, machine: Machine, root: Path) -> None:
    machine.keep_truth(sound, root)
    served = []

    for _ in range(2):
        pool = open_pool(machine.settings(), [f"small={sound.folder}"], say=machine.said.append)
        pool.unload_model("small").result(60)
        pool.load_model("small").result(60)
        served.append((pool.proof, machine.proofs()))
        pool.close()

    assert served == [("proven", 1), ("proven", 1)]


def test_with_a_note_no_truth_is_needed(sound: Located, machine: Machine, root: Path) -> None:
    machine.keep_truth(sound, root)
    machine.open(sound)
    place(sound.spec, machine.cache).unlink()

    machine.open(sound)

    assert machine.proofs() == 1


def test_what_is_not_near_enough_is_refused_with_what_failed(coarse: Located, machine: Machine, root: Path) -> None:
    machine.keep_truth(coarse, root)

    with pytest.raises(Mismatch, match=r"int8 of 'bert-mean' is not proven: the least cosine is .*; take another"):
        machine.open(coarse)

    assert not (machine.cache / "proven").exists()


def test_a_pool_holds_nothing_of_what_is_not_near_enough(coarse: Located, machine: Machine, root: Path) -> None:
    machine.keep_truth(coarse, root)
    pool = open_pool(machine.settings(lazy=True), [str(coarse.folder)], say=machine.said.append)
    try:
        with pytest.raises(Mismatch, match="is not proven"):
            pool.load_model("bert-mean").result(60)
        assert pool.states()[0].state == "failed"
    finally:
        pool.close()


def test_what_is_allowed_is_compared_with_nothing(coarse: Located, machine: Machine, root: Path) -> None:
    machine.keep_truth(coarse, root)

    pool = open_pool(machine.settings(allow_unproven=True), [str(coarse.folder)], say=machine.said.append)
    try:
        assert (pool.proof, machine.proofs()) == ("unproven", 0)
    finally:
        pool.close()


def test_it_is_proven_inside_an_event_loop_too(sound: Located, machine: Machine, root: Path) -> None:
    machine.keep_truth(sound, root)

    async def notebook() -> int:
        with Model(open_engine(machine.settings(), [str(sound.folder)], say=machine.said.append)) as model:
            return len((await model.encode_async("panda")).dense)

    assert asyncio.run(notebook()) == 1
    assert machine.proofs() == 1


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The precision of each runtime that was closed so far."""
    seen: list[str] = []
    close = OnnxRuntime.close

    def watched(runtime: OnnxRuntime) -> None:
        seen.append(runtime.precision)
        close(runtime)

    monkeypatch.setattr(OnnxRuntime, "close", watched)
    return seen


def test_where_one_of_several_fails_its_proof_none_stays_open(
    sound: Located, coarse: Located, machine: Machine, root: Path, closed: list[str]
) -> None:
    for located in (sound, coarse):
        machine.keep_truth(located, root)

    with pytest.raises(Mismatch, match="is not proven"):
        open_engine(machine.settings(), [f"a={sound.folder}", f"b={coarse.folder}"], say=machine.said.append)

    assert len(closed) == 2


# ------------------------------------------------------------------------------------------------ a proof that is left


@dataclass(slots=True, eq=False)
class Watched(Proving):
    """A proof where something happens at one step."""

    at: int = 0
    happens: Callable[["Watched"], object] = lambda proving: None
    steps: int = 0

    def step(self, share: float = 0.0) -> None:
        self.steps += 1
        if self.steps == self.at:
            self.happens(self)
        Proving.step(self, share)


@pytest.fixture
def engine(sound: Located, machine: Machine, root: Path) -> Iterator[Engine]:
    machine.keep_truth(sound, root)
    made = open_engine(machine.settings(allow_unproven=True), [str(sound.folder)], say=machine.said.append)
    yield made
    made.close()


def make(engine: Engine, sound: Located, machine: Machine, proving: Proving) -> None:
    prove_once(engine, machine.note(sound), sound.folder, machine.said.append, proving)


def test_the_steps_of_a_proof_add_up_to_the_whole(engine: Engine, sound: Located, machine: Machine) -> None:
    proving = Proving(lambda: 0.0)

    make(engine, sound, machine, proving)

    assert proving.share == pytest.approx(1.0, abs=0.05)  # a weight or two are of no graph


@pytest.mark.parametrize("at", [1, 3, -2], ids=["at once", "while truth is looked at", "while vectors are asked for"])
def test_a_proof_that_is_left_ends_at_its_next_step_and_notes_nothing(
    at: int, engine: Engine, sound: Located, machine: Machine
) -> None:
    whole = Watched()
    make(engine, sound, machine, whole)
    machine.note(sound).path.unlink()
    at = at if at > 0 else whole.steps + at
    proving = Watched(at=at, happens=lambda proof: proof.left.set())

    with pytest.raises(NotReady, match="was left before it was done"):
        make(engine, sound, machine, proving)

    assert proving.steps == at
    assert not machine.note(sound).is_there()


def test_truth_that_is_still_to_be_made_is_left_too(engine: Engine, sound: Located, machine: Machine) -> None:
    place(sound.spec, machine.cache).unlink()
    proving = Watched(at=3, happens=lambda proof: proof.left.set())

    with pytest.raises(NotReady):
        make(engine, sound, machine, proving)

    assert not place(sound.spec, machine.cache).exists()


# ------------------------------------------------------------------------------------------------ the note


@pytest.fixture
def report(sound: Located) -> Report:
    row = Fidelity(output="dense", probes=60, worst="word", least=0.998, mean=0.9994, largest=0.01)
    return Report(
        spec=sound.spec, precision="int8", judged_as="as asked", rows=(row,), failures=(),
        diagnosis=Diagnosis(verdict="right"),
    )  # fmt: skip


def test_a_note_says_what_was_reached_of_which_model_and_when(sound: Located, machine: Machine, report: Report) -> None:
    note = machine.note(sound)

    note.write(report)

    said = json.loads(note.path.read_text())
    assert note.is_there()
    assert (said["model"], said["reached"][0]["least"], len(said["date"])) == ("bert-mean", 0.998, 10)


@pytest.mark.parametrize(
    "change",
    [
        lambda report: replace(report, failures=("the least cosine is 0.9",)),
        lambda report: replace(report, precision="float32"),
        lambda report: replace(report, is_texts_alone=True),
    ],
    ids=["failed", "float32", "texts alone"],
)
def test_what_says_less_than_proven_is_not_noted(
    change: Callable[[Report], Report], sound: Located, machine: Machine, report: Report
) -> None:
    note = machine.note(sound)

    note.write(change(report))

    assert not note.is_there()


@pytest.mark.parametrize("other", ["release", "processor", "library", "model"])
def test_another_circumstance_has_to_pass_anew(
    other: str, sound: Located, machine: Machine, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.note(sound).write(report)

    match other:
        case "release":
            note = machine.note(sound, "2")
        case "processor":
            monkeypatch.setattr(noted, "int8_reason", lambda: "natively (avx512_vnni)")
            note = machine.note(sound)
        case "library":
            monkeypatch.setattr("onnxruntime.__version__", "0.0")
            note = machine.note(sound)
        case _:
            note = machine.note(replace(sound, spec=replace(sound.spec, weights="others")))

    assert machine.note(sound).is_there() == (other in ("release", "model"))
    assert not note.is_there()


@pytest.mark.parametrize("content", [b"", b"{}", b'{"circumstances": []}', b"\xff"])
def test_a_note_that_says_something_else_is_not_believed(
    content: bytes, sound: Located, machine: Machine, report: Report
) -> None:
    note = machine.note(sound)
    note.write(report)

    note.path.write_bytes(content)

    assert not note.is_there()


def test_a_cache_that_cannot_be_written_to_only_costs_time(sound: Located, machine: Machine, report: Report) -> None:
    machine.cache.mkdir()
    (machine.cache / "proven").write_text("a file where the folder would be")

    machine.note(sound).write(report)

    assert not machine.note(sound).is_there()
