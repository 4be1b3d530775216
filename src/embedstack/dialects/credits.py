"""KripTik's price list: a model, its tokens and pictures become credits."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from embedstack.modelspec import ModelSpec


@dataclass(frozen=True, slots=True)
class Price:
    """In credits."""

    thousand_tokens: float
    picture: float = 0.0


PRICES = {
    "bge-m3": Price(0.01),
    "voyage-code-3": Price(0.12),
    "siglip": Price(0.01, picture=0.05),
    "siglip2": Price(0.01, picture=0.05),
}
"""By a model's name without its owner, or the beginning of that name up to a hyphen.

Source: https://github.com/Flickinny11/kriptik-ai-opus-build at 9acfa2d, EMBEDDING_COSTS of
server/src/services/embeddings/embedding-service.ts.
"""
NO_PRICE = Price(0.0)


def price_of(spec: ModelSpec) -> Price:
    """The list's price; nothing for a model that it does not name, since nobody has set one."""
    name = spec.name.rpartition("/")[2].lower()
    return next((price for key, price in PRICES.items() if f"{name}-".startswith(f"{key}-")), NO_PRICE)


def cost(spec: ModelSpec, tokens: int, pictures: int = 0) -> float:
    """Credits for what was counted."""
    price = price_of(spec)
    return tokens / 1000 * price.thousand_tokens + pictures * price.picture


def shares(total: int, sizes: Sequence[int]) -> list[int]:
    """A total in whole parts by size; the parts make up the total."""
    whole = sum(sizes) or 1
    ends = [total * end // whole for end in accumulate(sizes, initial=0)]
    return [after - before for before, after in pairwise([*ends[:-1], total])]
