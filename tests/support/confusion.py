"""Endpoints that are wrong in a known way, and what diagnosis says of each: the table in docs/proof.md.

Where PyTorch is at hand, so that every precision is:

    PYTHONPATH=tests python -m support.confusion    # writes tests/golden/confusion.json
    python tests/support/reference.py               # and the page from it
"""

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, normalizers

from embedstack.catalog import find
from embedstack.engine.finish import unit
from embedstack.errors import ConfigError
from embedstack.inputs.text import TextInput
from embedstack.models.folder import root_of
from embedstack.models.weights import Weights, open_weights
from embedstack.modelspec import ModelSpec
from embedstack.proof.diagnosis import Diagnosis, Trials, asked_for
from embedstack.proof.kept import SHIPPED, Truth, read
from embedstack.proof.probes import Probe, probes
from embedstack.proof.truth import make, pack
from embedstack.runtimes import Options, open_runtime
from embedstack.settings import DEFAULT_MODEL, read_settings
from embedstack.types import Encoding, Pair, Text
from support.tiny import CASES, write

GOLDEN = Path(__file__).parents[1] / "golden/confusion.json"
# which runtime has a precision on any processor
PRECISIONS = {"float32": "openvino", "float16": "torch", "bfloat16": "torch", "int8": "onnx"}
E5 = {"query": "query: ", "document": "passage: "}
SMALL = {"query": "what is ", "document": "a river of "}
BAD = ("missed", "false alarm", "wrong")
Specs = Callable[[ModelSpec], ModelSpec]
Reads = Callable[[ModelSpec, Path, Probe], Encoding]


def as_it_is(spec: ModelSpec) -> ModelSpec:
    return spec


def as_the_model_does(spec: ModelSpec, folder: Path, probe: Probe) -> Encoding:
    return TextInput(folder, spec).encode([probe.item])[0]


@dataclass(frozen=True)
class Fault:
    """How an endpoint is wrong, and where it can be."""

    name: str  # as diagnosis calls it
    spec: Specs = as_it_is
    read: Reads = as_the_model_does
    weights: Callable[[Weights], Weights] = lambda weights: weights
    is_normalised: bool = True
    is_turned: bool = False  # the last row first
    applies: Callable[[ModelSpec], bool] = lambda spec: True


def graph(**change: object) -> Specs:
    return lambda spec: replace(spec, architecture=replace(spec.architecture, **change))


def shifted(by: int) -> Specs:
    return lambda spec: graph(position_offset=spec.architecture.position_offset + by)(spec)


class Strange(Weights):
    """Weights of the same shapes that were never trained together: the rows of every matrix in another order."""

    def __init__(self, weights: Weights) -> None:
        self.__dict__ = weights.__dict__

    def take(self, name: str, shape: tuple[int, ...], stored_as: tuple[int, ...] | None = None) -> np.ndarray:
        values = super().take(name, shape, stored_as)
        order = np.random.default_rng(5).permutation(len(values))
        return np.ascontiguousarray(values[order]) if values.ndim == 2 else values


def tokenised(spec: ModelSpec, folder: Path, texts: list[str], *, special: bool = True, keep_case: bool = False):
    """The tokeniser's own reading, without our code."""
    made = Tokenizer.from_file(str(folder / "tokenizer.json"))
    made.enable_truncation(spec.max_tokens)
    made.no_padding()
    if keep_case:
        made.normalizer = normalizers.BertNormalizer(lowercase=False)
    encoded = made.encode(*texts, add_special_tokens=special)
    return Encoding(np.array(encoded.ids, np.int32), np.array(encoded.type_ids, np.int32) if len(texts) > 1 else None)


def words(spec: ModelSpec, probe: Probe) -> list[str]:
    item = probe.item
    return [item.query, item.document] if isinstance(item, Pair) else [spec.prompts.get(item.role, "") + item.text]


def bare(spec: ModelSpec, folder: Path, probe: Probe) -> Encoding:
    if isinstance(probe.item, Text):
        return tokenised(spec, folder, words(spec, probe), special=False)
    roomy = replace(spec, max_tokens=spec.max_tokens + 2)
    made = tokenised(roomy, folder, words(spec, probe))  # what stands between the two of a pair stays
    return Encoding(made.ids[1:-1], None if made.segments is None else made.segments[1:-1])


def cased(spec: ModelSpec, folder: Path, probe: Probe) -> Encoding:
    return tokenised(spec, folder, words(spec, probe), keep_case=True)


def lowered(spec: ModelSpec, folder: Path, probe: Probe) -> Encoding:
    item = probe.item
    assert isinstance(item, Text)
    return TextInput(folder, spec).encode([replace(item, text=item.text.lower())])[0]


def roles(**played: str) -> Reads:
    def read(spec: ModelSpec, folder: Path, probe: Probe) -> Encoding:
        item = probe.item
        assert isinstance(item, Text)
        text = spec.prompts.get(played[item.role], "") + item.text
        return TextInput(folder, spec).encode([Text(text, "none")])[0]

    return read


def cut_left(spec: ModelSpec, folder: Path, probe: Probe) -> Encoding:
    return TextInput(folder, spec).encode([probe.item], truncate="left")[0]


def turned(spec: ModelSpec, folder: Path, probe: Probe) -> Encoding:
    item = probe.item
    assert isinstance(item, Pair)
    return TextInput(folder, spec).encode([Pair(item.document, item.query)])[0]


def one_segment(spec: ModelSpec, folder: Path, probe: Probe) -> Encoding:
    return replace(as_the_model_does(spec, folder, probe), segments=None)


def is_embedder(spec: ModelSpec) -> bool:
    return spec.task == "embed"


def is_bert(spec: ModelSpec) -> bool:
    return spec.architecture.family == "bert"


def pooled(how: str) -> Fault:
    return Fault(
        f"{how} pooling",
        spec=lambda spec: replace(spec, pooling=how),
        applies=lambda spec: is_embedder(spec) and spec.pooling != how,
    )


def cut(limit: int) -> Fault:
    return Fault(
        f"cut at {limit}",
        spec=lambda spec: replace(spec, max_tokens=limit),
        applies=lambda spec: limit < spec.max_tokens,
    )


RIGHT = Fault("right")
FAULTS = (
    RIGHT,
    *(pooled(how) for how in ("mean", "cls", "last", "max")),
    Fault("tanh GELU", graph(activation="gelu_tanh"), applies=lambda spec: spec.architecture.activation == "gelu"),
    Fault("erf GELU", graph(activation="gelu"), applies=lambda spec: spec.architecture.activation == "gelu_tanh"),
    Fault("positions from 1", shifted(1), applies=is_bert),
    Fault("positions from 1", shifted(-1), applies=lambda spec: not is_bert(spec)),
    Fault("positions from 0", shifted(-2), applies=lambda spec: not is_bert(spec)),
    Fault("case kept", read=cased, applies=is_bert),
    Fault("lower-cased", read=lowered, applies=lambda spec: is_embedder(spec) and not is_bert(spec)),
    Fault("no special tokens", read=bare),
    Fault("no prompts", read=roles(query="none", document="none"), applies=lambda spec: bool(spec.prompts)),
    Fault("swapped prompts", read=roles(query="document", document="query"), applies=lambda spec: bool(spec.prompts)),
    Fault("document prompt for all", read=roles(query="document", document="document"),
          applies=lambda spec: bool(spec.prompts)),
    Fault("no segments", read=one_segment, applies=lambda spec: spec.task == "rerank" and is_bert(spec)),
    Fault("pair turned round", read=turned, applies=lambda spec: spec.task == "rerank"),
    cut(128),
    cut(256),
    Fault("cut at the beginning", read=cut_left),
    Fault("not normalised", is_normalised=False, applies=is_embedder),
    Fault("rows in another order", is_turned=True, applies=is_embedder),
    Fault("another model", weights=Strange),
)  # fmt: skip


@dataclass(frozen=True)
class Subject:
    """A model that endpoints claim to serve."""

    name: str
    spec: ModelSpec
    folder: Path
    truth: Truth
    trials: Trials


def subject(name: str, spec: ModelSpec, folder: Path, truth: Truth | None = None) -> Subject:
    truth = truth or Truth(spec.space, make(spec, folder, probes(spec).all))
    return Subject(name, spec, folder, truth, Trials(spec, folder, truth))


def tiny_folder(case: str, root: Path) -> Path:
    """A small model whose tokeniser stays within its table."""
    return within_table(write(CASES[case], root / case))


def within_table(folder: Path) -> Path:
    """The same, its tokeniser mended: a `9` inside a word has an id past the table in `support.tiny`."""
    path = root_of(folder) / "tokenizer.json"
    stated = json.loads(path.read_text("utf-8"))
    vocab = stated["model"]["vocab"]
    if isinstance(vocab, dict) and vocab.get("##9", 0) >= len(vocab):
        (free,) = set(range(len(vocab))) - set(vocab.values())
        vocab["##9"] = free
        path.write_text(json.dumps(stated), "utf-8")
    return folder


def tiny_subject(case: str, root: Path) -> Subject:
    folder = tiny_folder(case, root)
    spec = find(str(folder), cache_dir=root).spec
    return subject(f"tiny {case}", replace(spec, prompts=SMALL) if spec.task == "embed" else spec, folder)


def minilm_subjects(folder: Path, cache_dir: Path) -> Iterator[Subject]:
    """As it is published; and with prompts and a longer limit, so that faults of these are seen on real weights."""
    spec = find(str(folder), cache_dir=cache_dir).spec
    yield subject(DEFAULT_MODEL, spec, folder, read(SHIPPED / f"{DEFAULT_MODEL}.npz", spec))
    yield subject(f"{DEFAULT_MODEL}, 512 tokens, prompts", replace(spec, prompts=E5, max_tokens=512), folder)


Known = dict[tuple[object, ...], dict[tuple[bytes, bytes], np.ndarray]]
"""Rows by what computed them, and by what it read."""


def answers(fault: Fault, whose: Subject, precision: str, known: Known | None = None) -> dict[str, np.ndarray]:
    """What an endpoint with a fault gives for the probes, by name; computed in one go by one of our runtimes.

    Args:
        known: rows of other faults of this subject; what is read and computed as there is taken from them.
    """
    spec = fault.spec(whose.spec)
    asked = [probe for probe in asked_for(whose.spec) if probe.name in next(iter(whose.truth.rows.values()))]
    room = spec.architecture.positions - spec.architecture.position_offset
    made = [(probe, fault.read(spec, whose.folder, probe)) for probe in asked]
    made = [(probe, encoding) for probe, encoding in made if encoding.cost <= room]
    rows = computed(fault, whose, precision, [encoding for _, encoding in made], {} if known is None else known)
    rows = unit(rows) if spec.task == "embed" and fault.is_normalised else rows
    rows = rows[::-1] if fault.is_turned else rows
    return {probe.name: row for (probe, _), row in zip(made, rows, strict=True)}


def computed(fault: Fault, whose: Subject, precision: str, encodings: list[Encoding], known: Known) -> np.ndarray:
    """A row of each text."""
    rows = known.setdefault((precision, fault.spec, fault.weights), {})
    keys = [(e.ids.tobytes(), b"" if e.segments is None else e.segments.tobytes()) for e in encodings]
    missing = {key: encoding for key, encoding in zip(keys, encodings, strict=True) if key not in rows}
    if missing:
        spec, options = fault.spec(whose.spec), Options(precision=precision, device="cpu", threads=2)
        runtime = open_runtime(PRECISIONS[precision])(spec, fault.weights(open_weights(whose.folder)), options)
        (made,) = runtime.run(pack(list(missing.values())), frozenset({spec.outputs[0]})).values()
        runtime.close()
        rows |= zip(missing, made, strict=True)
    return np.stack([rows[key] for key in keys])


def cell(fault: Fault, said: Diagnosis) -> str:
    """What the table holds: right, named, cannot tell, seen (not named), or one of BAD."""
    if fault is RIGHT:
        return "right" if said.verdict == "right" else "false alarm"
    if fault.name in (*said.names, said.verdict):
        return "named"
    if said.verdict == "right":
        return "cannot tell" if fault.name in said.hidden else "missed"
    return "seen" if said.verdict in ("unknown", "another model") else "wrong"


def matrix(whose: Subject, precisions: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """Fault -> precision -> cell."""
    made: dict[str, dict[str, str]] = {}
    known: Known = {}
    for fault in FAULTS:
        if fault.applies(whose.spec):
            row = {p: cell(fault, whose.trials.judge(answers(fault, whose, p, known), p)) for p in precisions}
            made[fault.name] = row
    return made


def available() -> tuple[str, ...]:
    """The precisions that can be had here."""
    return tuple(precision for precision in PRECISIONS if _is_here(precision))


def _is_here(precision: str) -> bool:
    with tempfile.TemporaryDirectory() as root:
        folder = write(CASES["bert-mean"], Path(root) / "m")
        spec = find(str(folder), cache_dir=Path(root)).spec
        try:
            options = Options(precision=precision, device="cpu", threads=1)
            open_runtime(PRECISIONS[precision])(spec, open_weights(folder), options).close()
        except ConfigError:
            return False
        return True


TINY = ("bert-mean", "bert-cls", "xlm-roberta-cls", "bert-classifier", "xlm-roberta-classifier")


def record() -> None:
    """Write what is said now, in every precision that can be had here."""
    precisions = available()
    cache_dir = read_settings(env_file=None).cache_dir
    with tempfile.TemporaryDirectory() as root:
        subjects = [*minilm_subjects(find(DEFAULT_MODEL, cache_dir=cache_dir).folder, Path(root))]
        subjects += [tiny_subject(case, Path(root)) for case in TINY]
        made = {each.name: matrix(each, precisions) for each in subjects}
    GOLDEN.write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    record()
