"""A model's numbers, runtime and precision -> how much memory it will need, and who makes room for it. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from embedstack.modelspec import Precision

MB = 1_000_000
READY_S = 1.5  # a start beside what its size takes: reading the tokeniser, warming up; see bench/results/cycle.json
BYTES_PER_S = 300 * MB  # a graph is compiled at 400 to 1200 MB/s on two Zen 3 cores; see bench/results/cycle.json
REQUESTS = 0.05  # of a ceiling, for bodies, replies and what batches of unforeseen shapes add: 7 to 17 MB in cycle.json
LEAST = 0.5  # of what weights are estimated at: MiniLM holds 69 MB of 81; requests that end meanwhile hide the rest
TOKENIZER = 20  # bytes in memory for each of tokenizer.json: 1.3 for MiniLM's WordPiece, 27 for 250,000 drawn Unigrams


@dataclass(frozen=True, slots=True)
class Need:
    """What a model takes of the memory that only this process holds."""

    held_bytes: int  # while it is loaded
    peak_bytes: int  # while it is being loaded, never less
    load_s: float
    least_bytes: int = 0  # what is measured below this is not believed, see `LEAST`
    is_measured: bool = False
    beyond_bytes: int = 0  # of what is held, for items longer than those that were run while it was weighed

    @property
    def peak_mb(self) -> int:
        """For messages."""
        return round(self.peak_bytes / MB)


@dataclass(frozen=True, slots=True)
class Sizes:
    """What a model's files hold."""

    products: int  # numbers that are multiplied with
    tables: int  # numbers that are looked up by a token, a place or a segment
    is_float32: bool  # whether they lie so in the file, where a table is read in place and takes no memory of its own
    tokenizer_bytes: int
    widest: int  # numbers that the graph holds for one token, at its widest
    causal_tokens: int = 0  # of the longest item, where each token sees only those before it; 0 where it sees all


@dataclass(frozen=True, slots=True)
class Factors:
    """Bytes that a runtime takes for each number: of products and of tables, once loaded and at the worst moment of
    loading; and of a full batch at the graph's widest, in each lane."""

    product: float
    table: float
    product_peak: float
    table_peak: float
    batch: float


# What was measured with MiniLM (43 MB of products in float32, 48 MB of tables), a BERT of 12 layers and 768 (343, 95)
# and one of 12 layers, 384 and 250,037 rows (86, 385), in 1 and 2 lanes with batches of 1,024 tokens; the most of the
# three. Measured again by bench/cycle.py. OpenVINO packs the products anew for one row, for a few and for many. ONNX
# Runtime reads all tensors once as it builds, so its peak counts the tables.
FACTORS: Mapping[tuple[str, Precision], Factors] = {
    ("openvino", "float32"): Factors(7.6, 0, 7.6, 0, 16),
    ("openvino", "bfloat16"): Factors(4.8, 0, 6, 0, 16),  # not measured: half the size, and a copy while converting
    ("onnx", "float32"): Factors(4.2, 0, 4.3, 4.3, 16),
    ("onnx", "int8"): Factors(1.3, 0, 2.4, 4.3, 34),
    ("numpy", "float64"): Factors(0, 0, 0.3, 0, 68),
    ("torch", "float32"): Factors(1.1, 0, 1.1, 0, 24),
    ("torch", "bfloat16"): Factors(2.6, 2, 2.6, 2, 12),
}
SEEN: Mapping[str, float] = {
    "openvino": 1
}  # bytes of each pair of tokens, where it is told which of them see each other
UNKNOWN = Factors(8, 4, 8, 4.3, 68)  # the most of every column: the first load corrects it


def estimate(
    sizes: Sizes, runtime: str, precision: Precision, *, lanes: int, batch_tokens: int, weighed_tokens: int = 0
) -> Need:
    """What a model will need, before it was ever loaded here.

    Args:
        batch_tokens: of the largest batch.
        weighed_tokens: of the largest that is run while the model is weighed; 0 for all of them.
    """
    factors = FACTORS.get((runtime, precision), UNKNOWN)
    copied = 0 if sizes.is_float32 else 4 * sizes.tables
    other = TOKENIZER * sizes.tokenizer_bytes

    def batches_of(tokens: int) -> float:
        seen = min(tokens, sizes.causal_tokens) ** 2 * SEEN.get(runtime, 0)
        return (factors.batch * sizes.widest * tokens + seen) * lanes

    batches = batches_of(batch_tokens)
    beyond = batches - batches_of(min(weighed_tokens, batch_tokens)) if weighed_tokens else 0
    weights = factors.product * sizes.products + max(factors.table * sizes.tables, copied)
    held = weights + batches + other
    peak = factors.product_peak * sizes.products + max(factors.table_peak * sizes.tables, copied) + other
    load_s = READY_S + 4 * (sizes.products + sizes.tables) / BYTES_PER_S
    return Need(round(held), round(max(held, peak)), load_s, round(LEAST * weights), beyond_bytes=round(beyond))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A loaded model that could make room."""

    name: str
    last_used: float
    in_flight: int = 0
    is_fresh: bool = False  # loaded, and nobody has used it yet: those who asked for it are about to come back


def next_to_go(candidates: Iterable[Candidate]) -> Candidate | None:
    """Who makes room first: the idle before the busy, then the one that was not used for longest."""
    return min(candidates, key=lambda one: (one.in_flight > 0, one.is_fresh, one.last_used), default=None)


def too_large(name: str, need: Need, ceiling_bytes: int, base_bytes: int) -> str:
    """Why a model cannot be loaded even alone; empty if it can.

    Args:
        base_bytes: what the process holds without any model.
    """
    if base_bytes + need.peak_bytes <= usable(ceiling_bytes):
        return ""
    found = "was measured" if need.is_measured else "is estimated from its files"
    return (
        f"{name!r} needs {need.peak_mb} MB while it is loaded ({found}) and the process {base_bytes / MB:.0f} MB for "
        f"itself; the ceiling of {ceiling_bytes / MB:.0f} MB leaves {usable(ceiling_bytes) / MB:.0f} MB for both, the "
        "rest is for requests; raise memory_mb, or take a smaller model or precision"
    )


def usable(ceiling_bytes: int) -> int:
    """What models may fill of a ceiling."""
    return round(ceiling_bytes * (1 - REQUESTS))
