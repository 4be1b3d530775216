"""What an endpoint gives for the probes, beside what the space is known by -> whether it may stand in for others.

Nothing is proven by a name. Vectors decide; a claim of another space is enough to refuse.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from embedstack.client.identity import unknown_spec
from embedstack.client.routing import THEIRS
from embedstack.errors import BadRequest, Mismatch
from embedstack.modelspec import ModelSpec, Precision, plain_fingerprint
from embedstack.proof.fidelity import JUDGED_AS, LENGTH, LIMITS, Fidelity, fidelity
from embedstack.proof.kept import Truth
from embedstack.proof.probes import Probe, probes
from embedstack.runtimes.int8 import METHOD
from embedstack.types import Encode, Encoded, Floats, Image, Link, Text, Tokens

DOCUMENTS = (
    "word",
    "short",
    "punctuation",
    "numbers",
    "accents",
    "cyrillic",
    "chinese",
    "medium",
    "d-tides",
)
QUERIES = ("short-query", "cyrillic-query", "q-tides")
LONG = ("past-128", "past-512")  # what cuts there, as many do silently, differs in these alone
STARTS_UNKNOWN = "unknown"  # the tokenizer of a spec that `unknown_spec` made
CLAIMED = "embedstack:"  # how its weights begin where an embedstack server said which space it is of
# neither side of a comparison of two endpoints is the truth, and what two roundings are off by adds up
BOTH = 2
PLAIN_TERMS: tuple[object, ...] = (None, None, None, "right", False, frozenset({"Text"}))
PLAIN = Encode(model="", items=())
MOST_TERMS = 256  # whose fingerprints are remembered; max_tokens alone has thousands
AskEncode = Callable[[Encode], Awaitable[Encoded]]


@dataclass(frozen=True, slots=True)
class Known:
    """A model that is on this machine, and what its probes must get if that was ever made."""

    spec: ModelSpec
    truth: Truth | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """What an endpoint gave. `rows`: by probe; `claimed`: the space that it says it is of, empty where it does not."""

    spec: ModelSpec
    fingerprint: str
    claimed: str
    rows: Mapping[str, Floats]


@dataclass(frozen=True, slots=True)
class Anchor:
    """What a space is known by.

    Args:
        source: whose vectors these are, in words.
        spec: what answers of the space carry.
        space: its digest; empty where nobody says.
        is_truth: whether the rows are exact, and not one more endpoint's.
        is_unit: whether vectors must be of length 1; else as long as these.
        fingerprint: of the rows, where their maker says one.
        giver: the endpoint that gave the rows, with its place; empty where it is the truth.
    """

    source: str
    spec: ModelSpec
    space: str
    rows: Mapping[str, Floats]
    is_truth: bool = False
    is_unit: bool = False
    fingerprint: str = ""
    giver: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an endpoint is of the space.

    Args:
        reason: why not; empty where it is.
        covers: what requests may ask of it beside plain documents, see `needs`; None for everything.
        max_bytes: of a text; what cuts longer ones would differ in none of the probes.
        claimed: what it said of itself then, as in `Sample`.
        is_rounded: whether its fingerprint was one of int8.
        width: of vectors whose width nobody named.
        pause_s: how long a refusal holds.
        fingerprints: that answers have, by `terms`; those of other terms than the probes' are added as they come.
    """

    reason: str = ""
    covers: frozenset[str] | None = None
    max_bytes: int = 0
    claimed: str = ""
    is_rounded: bool = False
    width: int = 0
    pause_s: float = field(default=0.0, compare=False)
    fingerprints: dict[tuple[object, ...], str] = field(default_factory=dict, compare=False)

    @property
    def is_proven(self) -> bool:
        """Whether it may stand in."""
        return not self.reason

    def lacks(self, request: Encode) -> str:
        """What it was not proven for, in words; empty where nothing is missing."""
        if self.covers is None:
            return ""
        missing = sorted(needs(request) - self.covers)
        if any(len(item.text.encode()) > self.max_bytes for item in request.items if isinstance(item, Text)):
            missing.append(f"texts of more than {self.max_bytes} bytes")
        return (
            f"it is not proven for {', '.join(missing)}: only an embedstack server says that of itself"
            if missing
            else ""
        )

    def is_of(self, answer: Encoded, request: Encode) -> bool:
        """Whether who was judged made the answer, by all that it says of itself."""
        width = 0 if answer.dense is None else answer.dense.shape[1]
        if claim_of(answer) != self.claimed or (request.dim is None and width not in (0, self.width)):
            return False
        if not self.is_rounded and is_int8(self.claimed, answer.fingerprint, width, request):
            return False
        expected = self.fingerprints.setdefault(terms(request), answer.fingerprint)
        if len(self.fingerprints) > MOST_TERMS:
            del self.fingerprints[list(self.fingerprints)[1]]  # the oldest but the probes'
        return answer.fingerprint == expected


def terms(request: Encode) -> tuple[object, ...]:
    """What a fingerprint depends on beside the model and its precision."""
    kinds = frozenset(type(item).__name__ for item in request.items)
    return (request.dim, request.normalize, request.max_tokens, request.truncate, request.late_chunking, kinds)


def needs(request: Encode) -> frozenset[str]:
    """What the probes must have shown for it."""
    found = {_kind(item) for item in request.items}
    found |= {"late chunking"} if request.late_chunking else set()
    found |= {f"dim={request.dim}"} if request.dim is not None else set()
    found |= {"normalize=False"} if request.normalize is False else set()
    found |= {f"max_tokens={request.max_tokens}"} if request.max_tokens is not None else set()
    return frozenset(found - {"role 'document'"})


def _kind(item: Text | Tokens | Image | Link) -> str:
    match item:
        case Text():
            return f"role {item.role!r}"
        case Tokens():
            return "token ids"
        case Image() | Link():
            return "images"


def is_unknown(spec: ModelSpec) -> bool:
    """Whether nobody here has seen the model."""
    return spec.tokenizer == STARTS_UNKNOWN


def claim_of(answer: Encoded) -> str:
    """The space that who made it says it is of; empty where nothing is said."""
    if is_unknown(answer.spec):
        return answer.spec.weights.removeprefix(CLAIMED) if answer.spec.weights.startswith(CLAIMED) else ""
    return answer.spec.space if answer.fingerprint else ""


# ------------------------------------------------------------------------------------------------ asked


async def sampled(ask: AskEncode) -> Sample:
    """The rows of all probes that it gives; without documents there is nothing.

    Raises:
        EmbedstackError: as it answers. Mismatch: it takes no probes, or two replies were not of one space.
    """
    try:
        answer = await _answered(ask, DOCUMENTS)
    except THEIRS:
        raise
    except BadRequest as error:  # nobody's request is wrong here
        raise Mismatch(f"it refused the probes: {error.message}") from error
    rows = _rows(answer, DOCUMENTS)
    for names in (QUERIES, *((name,) for name in LONG)):
        try:
            more = await _answered(ask, names)
        except BadRequest:  # it has no such role, or takes no text that long: requests like these it refuses, too
            continue
        if (claim_of(more), more.fingerprint) != (claim_of(answer), answer.fingerprint):
            raise Mismatch("its replies are of different spaces or fingerprints; different models answer there")
        rows |= _rows(more, names)
    return Sample(answer.spec, answer.fingerprint, claim_of(answer), rows)


async def _answered(ask: AskEncode, names: tuple[str, ...]) -> Encoded:
    items = tuple(probe.item for probe in _probes(names) if isinstance(probe.item, Text))
    answer = await ask(Encode(model="", items=items, priority="bulk", caller="router"))
    if answer.dense is None or len(answer.dense) != len(items):
        raise Mismatch(f"it gave {0 if answer.dense is None else len(answer.dense)} vectors for {len(items)} texts")
    return answer


def _rows(answer: Encoded, names: tuple[str, ...]) -> dict[str, Floats]:
    assert answer.dense is not None
    return dict(zip(names, answer.dense, strict=True))


def _probes(names: tuple[str, ...]) -> tuple[Probe, ...]:
    return probes(unknown_spec("", "", 0)).named(*names)


# ------------------------------------------------------------------------------------------------ known


def anchor_of_truth(known: Known) -> Anchor | None:
    """By what the model must give; None if nobody made that yet."""
    dense = known.truth.rows.get("dense", {}) if known.truth is not None else {}
    rows = {name: dense[name] for name in (*DOCUMENTS, *QUERIES, *LONG) if name in dense}
    if not {*DOCUMENTS} <= rows.keys():
        return None
    what = f"the truth of {known.spec.name!r} on this machine"
    return Anchor(what, known.spec, known.spec.space, rows, is_truth=True, is_unit=known.spec.normalize)


def anchor_of(source: str, sample: Sample, name: str = "") -> Anchor:
    """By what the first endpoint gave.

    Args:
        name: what the model is called; as the endpoint says if empty.
    """
    spec = replace(sample.spec, name=name or sample.spec.name) if is_unknown(sample.spec) else sample.spec
    return Anchor(source, spec, sample.claimed, sample.rows, fingerprint=sample.fingerprint, giver=source)


# ------------------------------------------------------------------------------------------------ judged


def judged(anchor: Anchor, sample: Sample, *, allow_int8: bool, prompts: Mapping[str, str] | None = None) -> Verdict:
    """Whether the sample is of the anchor's space.

    Args:
        allow_int8: take also what is only as near as int8 must be.
        prompts: that were put in front here, so that every role of theirs is as good as the ones that were tried.
    """
    if anchor.space and sample.claimed and anchor.space != sample.claimed:
        return Verdict(f"it is of the space {sample.claimed}, {anchor.source} of {anchor.space}")
    widths = [len(next(iter(rows.values()))) for rows in (sample.rows, anchor.rows)]
    if widths[0] != widths[1]:
        return Verdict(f"its vectors are {widths[0]} numbers wide, those of {anchor.source} {widths[1]}")
    shared = {name: row for name, row in sample.rows.items() if name in anchor.rows}
    found = fidelity("dense", anchor.rows, shared, is_unit=anchor.is_unit)
    sides = 1 if anchor.is_truth else BOTH
    too_far = beyond(found, JUDGED_AS, sides)
    if too_far and beyond(found, "int8", sides):
        return Verdict(f"it is of another space than {anchor.source}: {too_far}")
    if (too_far or (_is_int8(sample) and sample.fingerprint != anchor.fingerprint)) and not allow_int8:
        why = too_far or "its fingerprint says so"
        return Verdict(f"it is only as near to {anchor.source} as int8 is ({why}); take it with allow_int8 = true")
    return replace(of_giver(sample), covers=_covered(anchor, sample, prompts), max_bytes=_longest(shared))


def of_giver(sample: Sample) -> Verdict:
    """Of the endpoint that the space is known by: it is taken at its word in everything."""
    return Verdict(
        claimed=sample.claimed,
        is_rounded=_is_int8(sample),
        width=len(next(iter(sample.rows.values()))),
        fingerprints={PLAIN_TERMS: sample.fingerprint},
    )


def beyond(found: Fidelity, precision: Precision, sides: int) -> str:
    """What is beyond the limits of a precision, in words.

    Args:
        sides: how many of the two that were compared are rounded.
    """
    limits = LIMITS[precision]
    floors = (("least", found.least, limits.least), ("mean", found.mean, limits.mean))
    said = [
        f"the {name} cosine is {value:.6f}, {least:.6f} is wanted"
        for name, value, limit in floors
        if value is not None and not value >= (least := 1 - sides * (1 - limit))
    ]
    if found.length is not None and not found.length <= LENGTH:
        said.append(f"a length is off by {found.length:.2e} of what it should be, {LENGTH} is the most")
    return f"{', '.join(said)} (at {found.worst!r})" if said else ""


def _is_int8(sample: Sample) -> bool:
    return is_int8(sample.claimed, sample.fingerprint, len(next(iter(sample.rows.values()))))


def is_int8(claimed: str, fingerprint: str, width: int, request: Encode = PLAIN) -> bool:
    """By its fingerprint, of which all but the precision is known, and whether the model is as long as was asked."""
    rounded = {
        plain_fingerprint(
            claimed,
            "int8",
            width,
            is_unit=is_unit,
            calibration=calibration,
            max_tokens=max_tokens,
            truncate=request.truncate,
            late_chunking=request.late_chunking,
        )
        for is_unit in (True, False)
        for calibration in ("", METHOD)
        for max_tokens in {None, request.max_tokens}
    }
    return fingerprint in rounded


def _longest(names: Iterable[str]) -> int:
    """Of the texts that were compared, in bytes."""
    items = (probe.item for probe in _probes(tuple(names)))
    return max(len(item.text.encode()) for item in items if isinstance(item, Text))


def _covered(anchor: Anchor, sample: Sample, prompts: Mapping[str, str] | None) -> frozenset[str] | None:
    if anchor.space and sample.claimed == anchor.space:
        return None
    roles = {"query"} if prompts is None else {"query", "none", *prompts}
    return frozenset(f"role {role!r}" for role in roles if role != "query" or {*QUERIES} <= sample.rows.keys())
