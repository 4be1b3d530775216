"""The nouns of a way to embed: what is read of a text, and how the states of its tokens become a vector. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from embedstack.identifying.wording import Wording
from embedstack.modelspec import ModelSpec, Pooling, Truncate

Case = Literal["own", "kept", "lowered"]
"""As the model's tokeniser has it; or capital letters are kept where it lowers them; or lowered where it keeps them."""
Aspect = Literal["model", "text", "prompt", "case", "special tokens", "cut", "side", "pooling", "graph", "width"]
"""In what two recipes may differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the graph reads of a row.

    Args:
        max_tokens: at which a text is cut, special tokens included.
        truncate: the end that is cut.
        is_bare: without the special tokens.
    """

    wording: Wording
    prompt: str
    max_tokens: int
    case: Case = "own"
    is_bare: bool = False
    truncate: Truncate = "right"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One way to make a vector with a model.

    Args:
        dim: of the vector; what is more of the model's own width is cut away.
        is_levelled: brought to mean 0 and variance 1 before it is cut.
        graph: the name of a mistake in computing, as `proof.faults` has it; "" for the model's own graph.
    """

    spec: ModelSpec
    reading: Reading
    pooling: Pooling
    dim: int
    is_levelled: bool = False
    graph: str = ""

    @property
    def role(self) -> str | None:
        """As which texts were read; None where no role of the model reads them so."""
        prompts, prompt = self.spec.prompts, self.reading.prompt
        if not prompt and self.spec.needs_prompt:
            return None
        roles = ("document", *prompts, "none")
        return next((role for role in roles if prompts.get(role, "") == prompt), None)

    @property
    def strays(self) -> tuple[Aspect, ...]:
        """In what it is not as the model's own files say; a role of the model's is no stray."""
        own = replace(self.reading, max_tokens=self.spec.max_tokens, case="own", is_bare=False, truncate="right")
        plain = replace(self, reading=own, pooling=self.spec.pooling, graph="", is_levelled=self._levels)
        prompt: tuple[Aspect, ...] = () if self.role else ("prompt",)
        return prompt + differences(self, plain)

    @property
    def _levels(self) -> bool:
        return self.spec.cut_norm and self.dim < self.spec.dim

    @property
    def is_own(self) -> bool:
        """Whether it is what the model's files say, in any of its roles."""
        return not self.strays

    def says(self) -> str:
        """In words."""
        return ", ".join(self._words())

    def _words(self) -> Iterator[str]:
        reading = self.reading
        yield self.spec.name
        yield f"{self.pooling} pooling"
        yield f"prompt {reading.prompt!r}" if reading.prompt else "no prompt"
        yield f"cut at {reading.max_tokens} tokens"
        if reading.truncate == "left":
            yield "of long texts the end is kept"
        if reading.case != "own":
            yield "capital letters kept" if reading.case == "kept" else "lower-cased"
        if reading.is_bare:
            yield "no special tokens"
        if self.graph:
            yield self.graph
        if self.dim != self.spec.dim:
            how = "after a norm of mean 0 and variance 1" if self.is_levelled else "as they are"
            yield f"the first {self.dim} of {self.spec.dim} numbers" + (f", {how}" if self.spec.cut_norm else "")


def differences(one: Recipe, other: Recipe) -> tuple[Aspect, ...]:
    """In what they are not the same."""
    a, b = one.reading, other.reading
    pairs: dict[Aspect, bool] = {
        "model": one.spec.space != other.spec.space,
        "text": a.wording != b.wording,
        "prompt": a.prompt != b.prompt,
        "case": a.case != b.case,
        "special tokens": a.is_bare != b.is_bare,
        "cut": a.max_tokens != b.max_tokens,
        "side": a.truncate != b.truncate,
        "pooling": one.pooling != other.pooling,
        "graph": one.graph != other.graph,
        "width": one.is_levelled != other.is_levelled,
    }
    return tuple(aspect for aspect, differs in pairs.items() if differs)
