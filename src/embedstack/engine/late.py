"""A request for late chunking -> the parts of its text, or why this model cannot have it. Pure."""

from collections.abc import Sequence

from embedstack.catalog.reference import REFERENCE
from embedstack.errors import Unsupported
from embedstack.models import family
from embedstack.types import DENSE, Encode, ModelSpec, Text


def parts_of(request: Encode, spec: ModelSpec) -> Sequence[Text]:
    """The items, all of them texts.

    Raises:
        Unsupported: see `why_not`; another output than dense vectors; an item that is no text.
    """
    if why := why_not(spec):
        raise Unsupported(f"late chunking is not available for {spec.name!r}: {why}; leave it out")
    if request.outputs != DENSE:
        raise Unsupported(f"late chunking gives dense vectors, not {', '.join(sorted(request.outputs))}; leave it out")
    texts = [item for item in request.items if isinstance(item, Text)]
    if len(texts) < len(request.items):
        place = next(place for place, item in enumerate(request.items) if not isinstance(item, Text))
        raise Unsupported(f"item {place} is no text, and late chunking reads the parts of one text; send texts")
    return texts


def why_not(spec: ModelSpec) -> str:
    """Why a model has no late chunking; empty if it has.

    The mean of a part's states must mean what the model's vectors mean: vectors of pictures and of tokens alone, a
    decoder's last token and rows that go through another layer after pooling mean something else.
    """
    a = spec.architecture
    if a.vision is not None:
        return "it compares texts with images"
    if "dense" not in spec.outputs:
        return "it gives no dense vectors"
    if a.family.startswith(REFERENCE):
        return "the reference runtime shows no states of tokens"
    if spec.pooling == "last":
        return "its vector is that of the last token, which alone has read all of the text"
    if not a.layers:
        return "its tokens do not see each other"
    if family(spec).dense is not None:
        return "its vectors go through a layer of their own after pooling"
    return ""
