"""Results -> what was aimed at, what was measured, and whether it was reached, or that it was not measured."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

Made = dict
NO_BFLOAT16 = "this processor has no native bfloat16"
NONE = "–"


@dataclass(frozen=True)
class Aim:
    """One row."""

    what: str
    aim: str
    measured: str
    reached: bool | None = None  # None: not measured here

    @property
    def verdict(self) -> str:
        if self.reached is None:
            return "not measured" if self.measured == NONE else f"cannot be told: {NO_BFLOAT16}"
        return "yes" if self.reached else "no"


def aims(made: Made, scored: Made | None, large: Made | None) -> list[Aim]:
    """All rows.

    Args:
        made: what compare.py wrote; scored: quality.py; large: large.py. None where that was not run.
    """
    large = None if large is None or large["quick"] else large
    return [*_speed(made), *_int8(made, scored), *_fidelity(made), *_onnx(made), *_large(large)]


def rate(made: Made, *names: str) -> float | None:
    """Texts per second of the fastest of these on the mixed set."""
    found = [made["contenders"][name]["speed"]["mixed"]["texts_per_s"]["median"] for name in names
             if name in made["contenders"]]  # fmt: skip
    return max(found, default=None)


def default_name(made: Made) -> str:
    """Ours as it is installed: OpenVINO in the precision that this processor has natively."""
    return f"embedstack openvino {made['machine']['precision'].split(',')[0]}"


def _speed(made: Made) -> Iterator[Aim]:
    name = default_name(made)
    precision = name.split()[-1]
    is_native = precision == "bfloat16"
    share = made["contenders"].get(name, {}).get("speed", {}).get("mixed", {}).get("share_of_limit")
    yield _aim(
        "MiniLM bfloat16, share of the product limit",
        ">= 80 %",
        share,
        0.8 if is_native else None,
        lambda v: f"{v:.0%} in {precision}",
    )
    for peers, least in (
        (("sentence-transformers default",), 6.0),
        (("Infinity torch", "Infinity onnx"), 4.0),
        (("FastEmbed",), 4.0),
    ):
        label = f"MiniLM bfloat16, texts/s beside {peers[0].removesuffix(' torch')} at its best"
        limit = least if is_native else None
        aim = f"about {least:.0f} x"
        yield _aim(label, aim, _ratio(made, (name,), peers), limit, lambda v: f"{v:.2f} x in {precision}")


def _int8(made: Made, scored: Made | None) -> Iterator[Aim]:
    ours = ("embedstack onnx int8",)
    for peers in (("Infinity torch", "Infinity onnx"), ("FastEmbed",)):
        label = f"MiniLM int8, texts/s beside {peers[0].removesuffix(' torch')} at its best"
        yield _aim(label, ">= 5 x", _ratio(made, ours, peers), 5.0, lambda v: f"{v:.2f} x")
    for which, least in (("mean", 0.999), ("min", 0.997)):
        yield _aim(f"int8, {which} cosine to float64", f">= {least}", _cosine(made, ours, which), least)
    scores = scored["scores"] if scored else {}
    lost = None
    if "embedstack int8" in scores:
        metric = "xquad_en_ndcg@10"
        lost = scores["sentence-transformers"][metric] - scores["embedstack int8"][metric]
    reached = None if lost is None else lost <= 0.002
    yield Aim("int8, XQuAD-en nDCG@10 lost", "<= 0.002", NONE if lost is None else f"{lost:.4f}", reached)


def _fidelity(made: Made) -> Iterator[Aim]:
    for runtime in ("openvino", "onnx", "torch"):
        value = _cosine(made, (f"embedstack {runtime} float32",), "min")
        yield _aim(f"{runtime} float32, least cosine to float64", ">= 0.999999", value, 0.999999)
    for runtime in ("openvino", "torch"):
        for which, least in (("min", 0.9998), ("mean", 0.9999)):
            value = _cosine(made, (f"embedstack {runtime} bfloat16",), which)
            yield _aim(f"{runtime} bfloat16, {which} cosine to float64", f">= {least}", value, least)


def _onnx(made: Made) -> Iterator[Aim]:
    ratio = _ratio(made, ("embedstack onnx float32",), ("FastEmbed",))
    yield _aim("onnx float32, texts/s beside FastEmbed at its best", ">= 1.5 x", ratio, 1.5, lambda v: f"{v:.2f} x")


LARGE = (  # what, its place in large.json, the aim per precision
    ("16-token query", "query_ms", "ms", {"bfloat16": 25, "int8": 17}),
    ("anonymous memory", "anonymous_mb", "MB", {"bfloat16": 1300, "int8": 800}),
)


def _large(large: Made | None) -> Iterator[Aim]:
    rows = large["bge-m3"] if large else {}
    for what, key, unit, limits in LARGE:
        for precision, most in limits.items():
            value = rows.get(precision, {}).get(key)
            value = value["median"] if isinstance(value, dict) else value
            shown, reached = (NONE, None) if value is None else (f"{value:.0f} {unit}", value <= most)
            yield Aim(f"BGE-M3 {precision}, {what}", f"<= {most} {unit}", shown, reached)
    default = rows.get(large["default"], {}) if large else {}
    note = f" in {large['default']}" if large else ""
    yield _aim("BGE-M3, batches of 512+ tokens, share of the product limit", ">= 90 %", default.get("share_of_limit"),
               0.9, lambda v: f"{v:.0%}{note}")  # fmt: skip
    peak = default.get("peak_to_weights")
    yield Aim("BGE-M3, peak while loading", "<= 1.2 x the compiled weights",
              NONE if peak is None else f"{peak:.2f} x{note}", None if peak is None else peak <= 1.2)  # fmt: skip
    ratio = large["reranker"].get("ratio_to_cross_encoder") if large else None
    yield _aim("bge-reranker-v2-m3, pairs/s beside CrossEncoder's default", ">= 5 x", ratio, 5.0,
               lambda v: f"{v:.2f} x{note}")  # fmt: skip


def _aim(
    what: str, aim: str, value: float | None, least: float | None, shown: Callable[[float], str] = lambda v: f"{v:.7f}"
) -> Aim:
    """Not measured for a value of None; not to be judged here for a limit of None."""
    if value is None:
        return Aim(what, aim, NONE)
    return Aim(what, aim, shown(value), None if least is None else value >= least)


def _ratio(made: Made, ours: tuple[str, ...], theirs: tuple[str, ...]) -> float | None:
    mine, other = rate(made, *ours), rate(made, *theirs)
    return mine / other if mine and other else None


def _cosine(made: Made, names: tuple[str, ...], which: str) -> float | None:
    """The least of those that are there."""
    found = [made["contenders"][name]["fidelity"]["cosine_to_float64"][which] for name in names
             if name in made["contenders"]]  # fmt: skip
    return min(found, default=None)
