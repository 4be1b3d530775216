"""What every family must pass: the judge, the batch, the mutations; a test module gives its folders and its mutations.

    class TestNomic(FamilyTests):
        family = "nomic_bert"
        cases = (Tiny(...), ...)
        mutations = {"gate and up swapped": swapped("fc11", "fc12"), ...}

With EMBEDSTACK_RECORD=1 and PyTorch at hand, `python -m pytest tests/models/test_nomic.py` writes what the judge says
into tests/golden/families/, and what was proven into src/embedstack/models/proofs/.
"""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, get_args

import numpy as np
import pytest
from safetensors.numpy import save_file
from tokenizers import Tokenizer

from embedstack.catalog import find
from embedstack.errors import Unsupported
from embedstack.models import FAMILIES
from embedstack.models.weights import Weights, open_weights
from embedstack.modelspec import ModelSpec, Output, Precision
from embedstack.proof.fidelity import LIMITS
from embedstack.runtimes import Options, open_runtime
from embedstack.runtimes.export import export
from embedstack.runtimes.padded import NAMES
from embedstack.testing.check_runtime import check_runtime
from embedstack.types import Batch
from support import tiny
from support.consumers import Side, consume
from support.mutations import Changed, Mutation, zeroed
from support.proofs import RECORDS, judges, note
from support.runtimes import needs_torch, runtimes

GOLDEN = Path(__file__).parents[1] / "golden" / "families"
TOLERANCE = 1e-5  # of the largest number of the judge: what float32 products of this size may differ by
NEAR = 0.99  # cosine of a row of 8-bit products with the judge's: drawn weights leave few channels to average over
# What 16 bits may cost vectors of drawn weights, as 1 - cosine on average; scores have the limits of `models prove`.
# Measured with PyTorch 2.13 on a processor: eurobert-cls 4.0e-4 and 8.1e-6 (transformers itself 7.0e-4 and 7.8e-6),
# modernbert-cls 1.7e-4 and 3.7e-6, all others below 1.4e-4 and 2.2e-6; scores 0.024 and 0.003 of their spread.
SIXTEEN: Mapping[Precision, float] = {"bfloat16": 6e-4, "float16": 2e-5}
LARGE, LARGE_NEAR = 1000, 0.999  # embeddings so many times as large; a norm in float16 alone gives 0.93 or no number
SEEN = 10  # times the tolerance: a mutation must be at least so far off
LENGTHS = (1, 2, 7, 31, 38, 3, 18, 38)

Item = np.ndarray  # (tokens,) ids of a text, or (tokens, patch_width) of a picture
Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Tiny:
    """A small folder as the family's real ones look, its numbers drawn from a seed, and who judges it.

    Args:
        shapes: every tensor of model.safetensors.
        judge: the folder and the items -> one row for each, from the family's own package, each item alone.
        files: other JSON files by their path in the folder; sentence-transformers' modules are made of `pooling`.
        output: the one that is compared.
        image: the items are pictures.
        draw: numbers of tensors that must not be drawn like the others, by name.
    """

    name: str
    config: Mapping[str, object]
    shapes: Shapes
    judge: Callable[[Path, Sequence[Item]], np.ndarray]
    pooling: str | None = "mean"
    tokenizer: Callable[[], Tokenizer] = lambda: tiny.tokenizer(tiny.CASES["bert-mean"])
    tokenizer_config: Mapping[str, object] = field(
        default_factory=lambda: tiny.tokenizer_config(tiny.CASES["bert-mean"])
    )
    files: Mapping[str, object] = field(default_factory=dict)
    output: Output = "dense"
    image: bool = False
    lengths: Sequence[int] = LENGTHS
    max_seq_length: int = 40
    seed: int = 31
    draw: Mapping[str, np.ndarray] = field(default_factory=dict)
    least_id: int = 5  # ids below are special ones
    judged_by: Sequence[str] = ()  # the packages that the judge is, where that are not the usual ones

    @property
    def head(self) -> str:
        """What is compared, for the files of proofs."""
        return "image" if self.image else self.output

    @property
    def judged(self) -> str:
        """Who judges, with versions; empty where these are the usual ones."""
        return judges(*self.judged_by) if self.judged_by and RECORDS else ""

    def items(self, spec: ModelSpec) -> list[Item]:
        """Of very different lengths, 1 and nearly the longest among them."""
        draw = np.random.default_rng(3)
        if self.image:
            vision = spec.architecture.vision
            assert vision
            return [draw.normal(0, 1, (vision.tokens, vision.patch_width)).astype(np.float32) for _ in range(3)]
        vocab = spec.architecture.vocab
        return [draw.integers(self.least_id, vocab, length).astype(np.int32) for length in self.lengths]


def write(case: Tiny, folder: Path) -> Path:
    """The folder of a case."""
    folder.mkdir(parents=True, exist_ok=True)
    modules = {} if case.pooling is None else _modules(case.pooling, case)
    for name, content in {
        "config.json": case.config, "tokenizer_config.json": case.tokenizer_config, **modules, **case.files
    }.items():  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(content, indent=2))
    case.tokenizer().save(str(folder / "tokenizer.json"))
    save_file(drawn(case.shapes, case.seed) | dict(case.draw), folder / "model.safetensors", {"format": "pt"})
    return folder


def _modules(pooling: str, case: Tiny) -> dict[str, object]:
    names = {"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens", "last": "lasttoken"}
    kinds = ("Transformer", "Pooling", "Normalize")
    rows = [
        {"idx": n, "name": str(n), "path": f"{n}_{kind}" if n else "", "type": f"sentence_transformers.models.{kind}"}
        for n, kind in enumerate(kinds)
    ]
    width = case.config.get("hidden_size", case.config.get("n_embd", case.config.get("dim")))
    modes = {f"pooling_mode_{name}": how == pooling for how, name in names.items()}
    return {
        "modules.json": rows,
        "1_Pooling/config.json": {"word_embedding_dimension": width, **modes, "include_prompt": True},
        "sentence_bert_config.json": {"max_seq_length": case.max_seq_length, "do_lower_case": False},
    }


def drawn(shapes: Shapes, seed: int) -> dict[str, np.ndarray]:
    """Default initialisation hides errors, so biases, scales and shifts are drawn too; activations stay of order 1."""
    draw = np.random.default_rng(seed)

    def made(name: str, shape: tuple[int, ...]) -> np.ndarray:
        if name.endswith("bias"):
            return draw.normal(0, 0.3 if "norm" in name.lower() else 0.5, shape)
        if len(shape) == 1 or "norm" in name.lower():
            return draw.normal(1, 0.3, shape)
        if "embed" in name:
            return draw.normal(0, 0.6, shape)
        return draw.normal(0, 1.2 / np.sqrt(np.prod(shape[1:])), shape)

    return {name: made(name, tuple(shape)).astype(np.float32) for name, shape in shapes.items()}


def batch_of(items: Sequence[Item]) -> Batch:
    """Items end to end."""
    offsets = np.cumsum([0, *(len(item) for item in items)]).astype(np.int32)
    is_image = items[0].ndim == 2
    ids = np.zeros(offsets[-1], np.int32) if is_image else np.concatenate(items)
    return Batch(ids, np.zeros_like(ids), offsets, np.concatenate(items) if is_image else None)


def run(
    case: Tiny, runtime: str, spec: ModelSpec, weights: Weights, items: Sequence[Item], precision: str = ""
) -> np.ndarray:
    """(items, width) of the case's output; of a sparse output per token the maximum is not taken."""
    return runs(case, runtime, spec, weights, [items], precision)[0]


def runs(
    case: Tiny,
    runtime: str,
    spec: ModelSpec,
    weights: Weights,
    batches: Sequence[Sequence[Item]],
    precision: str = "",
) -> list[np.ndarray]:
    """The same of several batches, by one runtime: most of a test's time goes into making it."""
    precision = precision or ("auto" if runtime == "numpy" else "float32")
    made = open_runtime(runtime)(spec, weights, Options(precision=precision, threads=2))
    try:
        return [made.run(batch_of(items), frozenset({case.output}))[case.output] for items in batches]
    finally:
        made.close()


def short(items: Sequence[Item]) -> list[int]:
    """Places of the two shortest that are more than one token."""
    return sorted((place for place, item in enumerate(items) if len(item) > 1), key=lambda at: len(items[at]))[:2]


def differs(made: np.ndarray, judged: np.ndarray) -> float:
    """The largest difference as a share of the largest number."""
    assert made.shape == judged.shape
    return float(np.abs(made - judged).max() / np.abs(judged).max())


def unit(rows: np.ndarray) -> np.ndarray:
    """Each row at length 1; of single numbers all together."""
    return rows / np.linalg.norm(rows, axis=-1 if rows.shape[1] > 1 else 0, keepdims=True)


def cosines(made: np.ndarray, judged: np.ndarray) -> np.ndarray:
    """Of each row; of single numbers one, of all together."""
    return np.asarray((unit(made) * unit(judged)).sum(axis=1 if made.shape[1] > 1 else 0))


# ------------------------------------------------------------------------------------------------ the judge


def by_transformers(
    pool: str, kind: str = "AutoModel", config: Mapping[str, object] | None = None
) -> Callable[[Path, Sequence[Item]], np.ndarray]:
    """Hidden states of transformers, each item alone and so without padding, pooled: cls, last or mean; or `logits`.

    Args:
        config: what stands in the place of config.json, where that is not in the words of transformers; the tensors are
            read as they are, and renamed by transformers itself.
    """

    def judge(folder: Path, items: Sequence[Item]) -> np.ndarray:
        import torch
        import transformers

        place = folder if config is None else _beside(folder, config)
        auto = getattr(transformers, kind)
        model, told = auto.from_pretrained(place, attn_implementation="eager", output_loading_info=True)
        # what it misses it draws, and only says so; the pooler of an encoder is read by nobody
        drawn_by_it = [name for name in told["missing_keys"] if kind != "AutoModel" or "pooler" not in name]
        assert not drawn_by_it
        assert not told["mismatched_keys"]
        model = model.eval().float()
        with torch.no_grad():
            made = [model(input_ids=torch.tensor(item[None].astype(np.int64))) for item in items]
        if pool == "logits":
            return np.concatenate([one.logits.numpy() for one in made])
        pools = {"cls": lambda h: h[0], "last": lambda h: h[-1], "mean": lambda h: h.mean(0)}
        return np.stack([pools[pool](one.last_hidden_state[0].numpy()) for one in made])

    return judge


def _beside(folder: Path, config: Mapping[str, object]) -> Path:
    """The same weights under another config.json."""
    place = folder.parent / f"{folder.name}-judged"
    place.mkdir(exist_ok=True)
    shutil.copyfile(folder / "model.safetensors", place / "model.safetensors")
    (place / "config.json").write_text(json.dumps(config))
    return place


# ------------------------------------------------------------------------------------------------ the tests


class FamilyTests:
    """Subclass it in a test module; every method runs for every case, runtime and mutation."""

    family: ClassVar[str]
    cases: ClassVar[Sequence[Tiny]]
    mutations: ClassVar[Mapping[str, Mutation]]
    unseen: ClassVar[Sequence[str]] = ()  # parts of names of tensors that decide nothing, each with a reason beside it
    not_for: ClassVar[Mapping[str, Sequence[str]]] = {}  # mutation -> names of cases that do not have the part
    exports: ClassVar[bool] = True  # whether `models export` takes the family

    def __init_subclass__(cls) -> None:
        """Where all items are pictures, nothing is left to parametrize what is for texts."""
        if all(case.image for case in getattr(cls, "cases", ())):
            cls.test_an_exported_file_equals_the_judge = cls.test_8_bits_are_near_the_judge = None  # type: ignore[assignment,method-assign]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        pairs = [
            (name, case)
            for name in self.mutations
            for case in self.cases
            if case.name not in self.not_for.get(name, ())
        ]
        texts = [case for case in self.cases if not case.image]
        if "plain" in metafunc.fixturenames:
            metafunc.parametrize("plain", [False, True], ids=["fused", "plain"])
        if "sixteen" in metafunc.fixturenames:
            metafunc.parametrize("sixteen", SIXTEEN)
        if "side" in metafunc.fixturenames:
            metafunc.parametrize("side", get_args(Side))
        if "text" in metafunc.fixturenames:
            metafunc.parametrize("text", texts, ids=[case.name for case in texts])
        if "mutation" in metafunc.fixturenames:
            metafunc.parametrize(("mutation", "case"), pairs, ids=[f"{name}-{case.name}" for name, case in pairs])
        elif "case" in metafunc.fixturenames:
            metafunc.parametrize("case", self.cases, ids=[case.name for case in self.cases])
        if "runtime" in metafunc.fixturenames:
            metafunc.parametrize("runtime", runtimes("reference"))

    @pytest.fixture(scope="class")
    @classmethod
    def folders(cls, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
        root = tmp_path_factory.mktemp(cls.family)
        return {case.name: cls.placed(case, root / case.name) for case in cls.cases}

    @classmethod
    def placed(cls, case: Tiny, folder: Path) -> Path:
        """The folder of a case, written."""
        return write(case, folder)

    def opened(self, case: Tiny, folders: Mapping[str, Path], tmp: Path) -> tuple[ModelSpec, Weights]:
        folder = folders[case.name]
        return find(str(folder), cache_dir=tmp).spec, open_weights(folder)

    def family_of(self, case: Tiny) -> str:
        """A test module may have cases of several rows of the table, such as `new` and `gte`."""
        return str(case.config.get("model_type", self.family))

    def golden(self, case: Tiny) -> np.ndarray:
        with np.load(GOLDEN / f"{case.name}.npz") as recorded:
            return recorded["judged"]

    def is_off(self, case: Tiny, spec: ModelSpec, weights: Weights, items: Sequence[Item], by: float) -> bool:
        """Whether it differs from the judge by more than that: in what is soonest computed, or else in all."""
        judged = self.golden(case)
        few = short(items) if len(judged) == len(items) else []
        if few:
            made = run(case, "numpy", spec, weights, [items[place] for place in few])
            if np.abs(made - judged[few]).max() > by * np.abs(judged).max():
                return True
        return differs(run(case, "numpy", spec, weights, items), judged) > by

    def test_the_family_is_in_the_table(self) -> None:
        assert self.family in FAMILIES
        assert self.cases
        assert self.mutations

    def test_a_ragged_batch_equals_the_judge(
        self, runtime: str, case: Tiny, folders: dict[str, Path], tmp_path: Path
    ) -> None:
        spec, weights = self.opened(case, folders, tmp_path)

        off = differs(run(case, runtime, spec, weights, case.items(spec)), self.golden(case))

        assert off <= TOLERANCE
        note(self.family_of(case), case.name, runtime, off, heads=[case.head], judge=case.judged)

    def test_an_item_alone_equals_itself_in_a_batch(
        self, runtime: str, case: Tiny, folders: dict[str, Path], tmp_path: Path
    ) -> None:
        spec, weights = self.opened(case, folders, tmp_path)
        items = case.items(spec)
        places = (0, 1, len(items) - 1)

        together, *single = runs(case, runtime, spec, weights, [items, *([items[place]] for place in places)])

        for place, (alone,) in zip(places, single, strict=True):
            # a logit is one sum, of terms that may be larger than it is
            size = np.abs(together).max() if case.output == "score" else np.linalg.norm(together[place])
            assert np.abs(alone - together[place]).max() <= 1e-6 * max(1.0, float(size))

    def test_a_mutation_is_seen(self, mutation: str, case: Tiny, folders: dict[str, Path], tmp_path: Path) -> None:
        spec, weights = self.opened(case, folders, tmp_path)
        items = case.items(spec)

        changed = self.mutations[mutation](spec, weights)

        assert self.is_off(case, *changed, items, SEEN * TOLERANCE)
        note(self.family_of(case), case.name, f"mutation: {mutation}", 0.0)

    def test_every_tensor_counts(self, case: Tiny, folders: dict[str, Path], tmp_path: Path) -> None:
        """A tensor that could be zero without being seen is not computed, or the judge does not see it."""
        spec, weights = self.opened(case, folders, tmp_path)
        items = case.items(spec)
        run(case, "numpy", spec, weights, items)
        read = sorted(weights._used)

        def is_seen(name: str) -> bool:
            return self.is_off(case, *zeroed(name)(spec, open_weights(folders[case.name])), items, TOLERANCE)

        unseen = [name for name in read if not any(part in name for part in self.unseen) and not is_seen(name)]

        assert read
        assert not unseen

    @pytest.mark.slow
    def test_a_runtime_keeps_its_promises(
        self, runtime: str, case: Tiny, folders: dict[str, Path], tmp_path: Path
    ) -> None:
        assert check_runtime(runtime, *self.opened(case, folders, tmp_path)) == []

    @pytest.mark.slow
    def test_an_exported_file_equals_the_judge(
        self, plain: bool, side: Side, text: Tiny, folders: dict[str, Path], tmp_path: Path
    ) -> None:
        spec, weights = self.opened(text, folders, tmp_path)
        out, judged = tmp_path / "m.onnx", self.golden(text)
        if not self.exports:
            with pytest.raises(Unsupported, match="export"):
                export(spec, weights, out, plain=plain)
            return
        export(spec, weights, out, plain=plain)

        made = consume(out, NAMES[text.output], text.items(spec), side)

        is_unit = spec.normalize and text.output in ("dense", "multi")
        assert differs(made.reshape(judged.shape), unit(judged) if is_unit else judged) <= TOLERANCE

    @pytest.mark.slow
    def test_8_bits_are_near_the_judge(self, case: Tiny, folders: dict[str, Path], tmp_path: Path) -> None:
        spec, weights = self.opened(case, folders, tmp_path)

        made = run(case, "onnx", spec, weights, case.items(spec), "int8")

        assert cosines(made, self.golden(case)).min() >= NEAR

    @pytest.mark.slow
    @pytest.mark.torch
    @needs_torch
    def test_16_bits_are_near_the_judge(
        self, sixteen: Precision, case: Tiny, folders: dict[str, Path], tmp_path: Path
    ) -> None:
        """As a device has them natively, emulated."""
        spec, weights = self.opened(case, folders, tmp_path)
        judged = self.golden(case)

        made = run(case, "torch", spec, weights, case.items(spec), sixteen)

        if case.output == "score":
            assert np.abs(made - judged).max() <= LIMITS[sixteen].score * np.ptp(judged)
        else:
            assert cosines(made, judged).mean() >= 1 - SIXTEEN[sixteen]

    @pytest.mark.slow
    @pytest.mark.torch
    @needs_torch
    def test_large_numbers_are_normed_in_more_than_16_bits(
        self, case: Tiny, folders: dict[str, Path], tmp_path: Path
    ) -> None:
        """Trained models have channels in the thousands, and float16 ends at 65,504."""
        spec, weights = self.opened(case, folders, tmp_path)
        names = [name for name in weights.names() if "embed" in name and "norm" not in name.lower()]
        large = Changed(weights, lambda name, values: values * LARGE if name in names else values)

        truth, made = (
            run(case, runtime, spec, large, case.items(spec), precision)
            for runtime, precision in (("numpy", ""), ("torch", "float16"))
        )

        assert names
        assert cosines(made, truth).min() >= LARGE_NEAR

    @pytest.mark.reference
    def test_the_golden_file_is_what_the_judge_says_now(
        self, case: Tiny, folders: dict[str, Path], tmp_path: Path
    ) -> None:
        pytest.importorskip("torch", reason="PyTorch is not installed")
        pytest.importorskip("transformers", reason="transformers is not installed")
        spec, _ = self.opened(case, folders, tmp_path)

        said = case.judge(folders[case.name], case.items(spec)).astype(np.float32)

        if RECORDS:
            GOLDEN.mkdir(exist_ok=True)
            origin = f"recorded: {judges(*case.judged_by)}; EMBEDSTACK_RECORD=1 python -m pytest {_module(type(self))}"
            np.savez(GOLDEN / f"{case.name}.npz", origin=origin, judged=said)
        assert differs(self.golden(case), said) <= 1e-6


def _module(kind: type) -> str:
    return "tests/models/" + kind.__module__.rpartition(".")[2] + ".py"
