"""Two vectors become KripTik's similarity with what it means; no model is asked."""

from collections.abc import Sequence

import numpy as np

from embedstack.dialects.dialect import Limits
from embedstack.dialects.kriptik_shapes import SimilarityBody
from embedstack.dialects.wire import Misfit
from embedstack.modelspec import ModelSpec

HIGH, MEDIUM = 0.85, 0.7  # from which on a match is called so; server/src/routes/embeddings.ts


def ask_similarity(body: SimilarityBody, _: Limits, models: Sequence[ModelSpec]) -> None:
    """Nothing is asked; what cannot be compared is refused."""
    widths = len(body.embedding1), len(body.embedding2)
    if widths[0] != widths[1]:
        raise Misfit(f"embedding1 has {widths[0]} numbers and embedding2 {widths[1]}; send two of one model")
    if not np.isfinite(_similarity(body)):
        raise Misfit("the similarity of these numbers is too large for a number; send vectors of length 1")


def compared(body: SimilarityBody, _: None) -> dict[str, object]:
    similarity = _similarity(body)
    match, meaning = _interpreted(similarity)
    words = {"match": match, "description": meaning}
    return {"similarity": similarity, "method": body.method, "interpretation": words}


def _similarity(body: SimilarityBody) -> float:
    one, other = np.array(body.embedding1, np.float64), np.array(body.embedding2, np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        match body.method:
            case "cosine":
                lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
                return float(one @ other) / lengths if lengths else 0.0
            case "dot":
                return float(one @ other)
            case "euclidean":  # a distance as a similarity, as the original has it
                return 1 / (1 + float(np.linalg.norm(one - other)))


def _interpreted(similarity: float) -> tuple[str, str]:
    if similarity >= HIGH:
        return "high", "Strong semantic similarity"
    if similarity >= MEDIUM:
        return "medium", "Moderate semantic similarity"
    return "low", "Low semantic similarity"
