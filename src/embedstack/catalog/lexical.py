"""What sentence-transformers says of a SPLADE model -> the head that weighs the vocabulary, or a refusal.

Source: sentence_transformers 6.2, `sparse_encoder/modules/splade_pooling.py` and `mlm_transformer.py`.
"""

from collections.abc import Mapping
from pathlib import Path

from embedstack.errors import Unsupported
from embedstack.models.folder import Fields, read_fields_if_there
from embedstack.modelspec import Head

TASKS = ("fill-mask",)
"""What such a Transformer is loaded for."""
CHAINS = (["MLMTransformer", "SpladePooling"], ["Transformer", "SpladePooling"])
HINT = "; a SPLADE model needs MLMTransformer and SpladePooling there, of sentence_transformers.sparse_encoder"
_MASKED = "ForMaskedLM"
_HEADS: Mapping[str, Head] = {
    "bert": "bert_mlm",
    "distilbert": "distilbert_mlm",
    "roberta": "roberta_mlm",
    "xlm-roberta": "roberta_mlm",
    "camembert": "roberta_mlm",
}
"""By model_type: what `AutoModelForMaskedLM` of transformers 5.23 makes of it, whatever `architectures` says."""


def hint(architecture: str) -> str:
    """What else a folder without modules.json may be told."""
    return HINT if architecture.endswith(_MASKED) else ""


def require_task(modules: Mapping[str, str], settings: Fields, name: str) -> None:
    """A Transformer that states no task gives hidden states; only MLMTransformer fills masks by itself.

    Raises:
        Unsupported: it states none.
    """
    if "Transformer" in modules and settings.text("transformer_task") not in TASKS:
        raise Unsupported(
            f"{name!r} takes SPLADE weights of a Transformer that is not loaded for {TASKS[0]} "
            f"(transformer_task in {settings.path.name}); save it with sentence_transformers.SparseEncoder again"
        )


def read_head(folder: Path, config: Fields, modules: Mapping[str, str], name: str) -> tuple[Head, bool]:
    """The head, and whether the logarithm is taken twice; without modules as the first SPLADE of the kind has it.

    Raises:
        Unsupported: a family or a pooling that no graph of ours computes.
    """
    kind = config.text("model_type")
    if kind not in _HEADS:
        raise Unsupported(
            f"{name!r} is a SPLADE model of the family {kind!r}; embedstack has those of: {', '.join(_HEADS)}"
        )
    place = folder / modules["SpladePooling"] if "SpladePooling" in modules else folder / "SpladePooling"
    pooling = read_fields_if_there(place / "config.json")
    if (how := pooling.text("pooling_strategy", "max")) != "max":
        raise Unsupported(f"{name!r} pools lexical weights by {how!r}; embedstack takes the largest (max)")
    activation = pooling.text("activation_function", "relu")
    if activation not in ("relu", "log1p_relu"):
        raise pooling.wrong("activation_function", "relu or log1p_relu")
    return _HEADS[kind], activation == "log1p_relu"
