"""A job of KripTik's BGE-M3 worker becomes an Encode, and what comes of it the job's output."""

from collections.abc import Sequence

from embedstack.dialects.dialect import Limits
from embedstack.dialects.kriptikworker_shapes import BgeBody, BgeInput, BgeOptions, Texts
from embedstack.dialects.wire import Misfit, as_floats, check_count, model_for
from embedstack.modelspec import ModelSpec, Output
from embedstack.types import Encode, Encoded, Text

BGE = "bge-m3"

Json = dict[str, object]


def ask_bge(body: BgeBody, limits: Limits, models: Sequence[ModelSpec]) -> Encode:
    texts, options = texts_of(body.input), body.input.options
    check_count(len(texts), limits, "input.texts")
    return Encode(
        model=text_model(body.input.model, limits, models),
        items=tuple(Text(text) for text in texts),
        outputs=outputs_of(options),
        max_tokens=options.max_length,
        normalize=True,
        truncate=limits.truncate,
    )


def outputs_of(options: BgeOptions) -> frozenset[Output]:
    """Which vectors are asked for.

    Raises:
        Misfit: none.
    """
    flags: dict[Output, bool] = {
        "dense": options.return_dense,
        "sparse": options.return_sparse,
        "multi": options.return_colbert,
    }
    if not any(flags.values()):
        raise Misfit("input.options asks for no vectors; set return_dense, return_sparse or return_colbert", "options")
    return frozenset(name for name, wanted in flags.items() if wanted)


def text_model(named: str | None, limits: Limits, models: Sequence[ModelSpec]) -> str:
    """The model that is named, else bge-m3, else the only one for texts."""
    known = None if named else limits.spec_of(BGE, models)
    is_fit = known is not None and known.task == "embed" and "text" in known.inputs
    return known.name if known and is_fit else model_for("embed", named, models)


def texts_of(given: BgeInput) -> list[str]:
    """Under whichever name they came.

    Raises:
        Misfit: there are none.
    """
    return listed("texts", given.texts, given.text, given.input)


def listed(field: str, *given: Texts | None) -> list[str]:
    """The first that is there, as a list.

    Raises:
        Misfit: there is none.
    """
    found = next((texts for texts in given if texts), None)
    if found is None:
        raise Misfit(f"input.{field} is missing; send a text or a list of texts", field)
    return [found] if isinstance(found, str) else found


def bge_output(body: BgeBody, answer: Encoded) -> Json:
    tokens = answer.usage.tokens
    rows = [] if answer.dense is None else [as_floats(row) for row in answer.dense]
    output: Json = {"embeddings": rows, "tokens_used": tokens, "texts_processed": answer.usage.items}
    if body.input.input is not None:  # its own provider reads these, as of OpenAI
        output["data"] = [{"object": "embedding", "index": n, "embedding": row} for n, row in enumerate(rows)]
        output["usage"] = {"prompt_tokens": tokens, "total_tokens": tokens}
    return output | heads(answer)


def heads(answer: Encoded) -> Json:
    """The vectors beside the dense ones, where there are any."""
    output: Json = {}
    if answer.sparse is not None:
        output["sparse_embeddings"] = [
            {str(token): weight for token, weight in zip(one.ids.tolist(), one.weights.tolist(), strict=True)}
            for one in answer.sparse
        ]
    if answer.multi is not None:
        output["colbert_embeddings"] = [[as_floats(row) for row in one] for one in answer.multi]
    return output
