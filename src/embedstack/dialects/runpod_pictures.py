"""Jobs with pictures become Encodes, and what comes of them outputs; and the inverse.

The inputs are those of ai-file-cleanup's model worker and of KripTik's SigLIP and VL-JEPA workers: see `modelworker`
and `kriptikworker`, whose rules hold here.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import msgspec

from embedstack.dialects.dialect import AnyRoute, Field, Limits, Route, Wire
from embedstack.dialects.filecleanup import ask_images
from embedstack.dialects.jobs import Json, completed, joined
from embedstack.dialects.kriptikworker import about
from embedstack.dialects.kriptikworker_shapes import SiglipInput, VisionInput
from embedstack.dialects.kriptikworker_vision import ask_siglip, ask_vision, siglip_output, vision_output
from embedstack.dialects.modelworker_batch import BatchBody, BatchItem, ask_batch, places_of, write_batch
from embedstack.dialects.pictures import DARK, LIGHT, pictures_said
from embedstack.dialects.reply import must_carry
from embedstack.dialects.runpod_identity import made
from embedstack.dialects.runpod_input import PATH, Kind, reader
from embedstack.dialects.runpod_outputs import ItemsReply, SeenReply, VectorsReply
from embedstack.dialects.runpod_shapes import ItemsJob, PicturesInput, PicturesJob, SiglipJob, VisionJob
from embedstack.dialects.runpod_vectors import TWO, hear_vectors, written
from embedstack.modelspec import ModelSpec
from embedstack.types import Encode, Encoded

CARRIES: frozenset[Field] = frozenset()
PNG = "data:image/png;base64,"
Body = TypeVar("Body", bound=msgspec.Struct)


def picture_routes() -> Mapping[Kind, AnyRoute]:
    """Jobs with pictures, or with pictures and texts."""
    items = [BatchItem("animals.txt", "text", TWO[0]), BatchItem("weather.txt", "text", TWO[1])]
    return {
        "pictures": Route(
            path=PATH,
            task="embed",
            summary="A job with images: their vectors.",
            body=PicturesJob,
            reply=VectorsReply,
            example=PicturesJob(PicturesInput(images=[PNG + DARK, PNG + LIGHT])),
            read=reader("pictures", PicturesJob),
            ask=ask_pictures,
            write=write_pictures,
            input="image",
            carries=CARRIES,
            say=say_pictures,
            hear=hear_vectors,
        ),
        "items": Route(
            path=PATH,
            task="embed",
            summary="A job with texts and pictures: a vector beside the id of each.",
            body=ItemsJob,
            reply=ItemsReply,
            example=ItemsJob(BatchBody(items=items)),
            read=reader("items", ItemsJob),
            ask=ask_items,
            write=write_items,
            places=places_of_items,
            takes_none=True,
        ),
        "siglip": Route(
            path=PATH,
            task="embed",
            summary="A job of KripTik's SigLIP worker: a picture, texts, or how likely each text is about the picture.",
            body=SiglipJob,
            reply=SeenReply,
            example=SiglipJob(SiglipInput(type="image", image=DARK)),
            read=reader("siglip", SiglipJob),
            ask=ask_siglip,
            write=_done(siglip_output),
            input="image",
        ),
        "vision": Route(
            path=PATH,
            task="embed",
            summary="A job of KripTik's VL-JEPA worker: an intent, a picture with a text, or a video's frames.",
            body=VisionJob,
            reply=SeenReply,
            example=VisionJob(VisionInput(type="visual_text", image=DARK)),
            read=reader("vision", VisionJob),
            ask=ask_vision,
            write=_done(vision_output),
            input="image",
        ),
    }


def _done(output: Callable[[Body, Encoded], Json]) -> Callable[[Body, Encoded], Wire]:
    def write(body: Body, answer: Encoded) -> Wire:
        return completed({**output(body, answer), **about(answer), **made(answer)}, answer)

    return write


def ask_pictures(body: PicturesJob, limits: Limits, models: Sequence[ModelSpec]) -> Encode:
    """Vectors of the pictures."""
    return ask_images(body.input, limits, models)


def write_pictures(body: PicturesJob, answer: Encoded) -> Wire:
    """As of texts."""
    return written(answer, body.input.encoding_format)


def ask_items(body: ItemsJob, limits: Limits, models: Sequence[ModelSpec]) -> Encode | tuple[Encode, ...] | None:
    """As the model worker asks."""
    return ask_batch(body.input, limits, models)


def write_items(body: ItemsJob, answer: Encoded | tuple[Encoded, ...] | None) -> Wire:
    """Who made it is said of one model; vectors of two have no identity in common."""
    output = write_batch(body.input, answer).body
    return completed(joined(output, made(answer)) if isinstance(answer, Encoded) else output, answer)


def places_of_items(body: ItemsJob, number: int) -> list[int]:
    """Where the items of one of two requests stand in the body."""
    return places_of(body.input, number)


def say_pictures(request: Encode) -> PicturesJob:
    """What a client says."""
    must_carry(request, CARRIES, "runpod")
    images = pictures_said(request.items)
    return PicturesJob(PicturesInput(images=images, model=request.model or None, encoding_format="base64"))
