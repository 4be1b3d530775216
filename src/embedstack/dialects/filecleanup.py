"""What the two services of ai-file-cleanup share: the bodies of texts and images, what they ask for, the client half.

Both originals brought all vectors to length 1.
"""

from collections.abc import Sequence

import msgspec

from embedstack.dialects.dialect import Field, Heard, Limits, Wire
from embedstack.dialects.pictures import pictures, pictures_said
from embedstack.dialects.reply import must_carry, texts_of, understood, vectors
from embedstack.dialects.wire import Name, check_count, decode, model_for
from embedstack.modelspec import ModelSpec
from embedstack.types import Encode, Text

CARRIES: frozenset[Field] = frozenset()


class TextsBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What is asked for."""

    texts: list[str]
    model: Name | None = None


class ImagesBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Pictures as data URLs or base64."""

    images: list[str]
    model: Name | None = None


class HeardVectors(msgspec.Struct):
    """What a client needs of a reply."""

    embeddings: list[list[float]]


_TEXTS = msgspec.json.Decoder(TextsBody)
_IMAGES = msgspec.json.Decoder(ImagesBody)
_HEARD = msgspec.json.Decoder(HeardVectors)


def read_texts(raw: bytes) -> TextsBody:
    """Bytes to a body."""
    return decode(_TEXTS, raw)


def read_images(raw: bytes) -> ImagesBody:
    """Bytes to a body."""
    return decode(_IMAGES, raw)


def ask_texts(body: TextsBody, limits: Limits, models: Sequence[ModelSpec]) -> Encode:
    """Vectors of the texts."""
    check_count(len(body.texts), limits, "texts")
    return Encode(
        model=model_for("embed", body.model, models),
        items=tuple(Text(text) for text in body.texts),
        normalize=True,
        truncate=limits.truncate,
    )


def ask_images(body: ImagesBody, limits: Limits, models: Sequence[ModelSpec]) -> Encode:
    """Vectors of the pictures."""
    check_count(len(body.images), limits, "images")
    model = model_for("embed", body.model, models, "image")
    return Encode(model=model, items=pictures(body.images, "images"), normalize=True)


def say(request: Encode, dialect: str) -> TextsBody:
    """What a client says."""
    must_carry(request, CARRIES, dialect)
    return TextsBody(texts=texts_of(request), model=request.model or None)


def say_images(request: Encode, dialect: str) -> ImagesBody:
    """What a client says of pictures."""
    must_carry(request, CARRIES, dialect)
    return ImagesBody(images=pictures_said(request.items), model=request.model or None)


def hear(wire: Wire, request: Encode) -> Heard:
    """The vectors of a reply, in the order of the request."""
    return Heard(vectors(understood(_HEARD, wire).embeddings, len(request.items)))
