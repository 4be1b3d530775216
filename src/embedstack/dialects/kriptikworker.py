"""KripTik's RunPod workers as routes: `{"input": …}` becomes a request, the answer a job's output.

Each worker had an address of its own, which is replaced by `/kriptik-worker/bge-m3/runsync`, `…/siglip/runsync` and
`…/vl-jepa/runsync`. Source: see `kriptikworker_shapes`.

Not as in the original: numbers of a vector are never cut off nor filled up to 1024, so `dimensions` is the model's own;
vectors have length 1; a picture's likeness is the probability that the model was trained to give, sigmoid for SigLIP
and softmax over several texts for CLIP, and the cosines stand beside it; tokens are counted, not guessed; a video may
have as many frames as a request holds items, and is cut into `segments`. `vl-jepa` is the name of the route alone: no
weights of VL-JEPA were ever published. What answers is named in `model` and `engine`: `text-encoder` for `intent`,
`dual-encoder` for a picture or a video; these are two models, and their vectors are not to be compared. `predictive` is
refused, for the original made its numbers up.
"""

from collections.abc import Callable
from typing import TypeVar

import msgspec

from embedstack.dialects.dialect import Info, Page, Route, Wire
from embedstack.dialects.failure import CODES, failure
from embedstack.dialects.jobs import JobFailure, completed, failed, made_by
from embedstack.dialects.kriptikworker_shapes import (
    BgeBody,
    BgeInput,
    JobReply,
    SiglipBody,
    SiglipInput,
    VisionBody,
    VisionInput,
)
from embedstack.dialects.kriptikworker_text import ask_bge, bge_output
from embedstack.dialects.kriptikworker_vision import ask_siglip, ask_vision, siglip_output, vision_output
from embedstack.dialects.pictures import DARK
from embedstack.dialects.wire import decode
from embedstack.errors import EmbedstackError, UnknownModel
from embedstack.types import Encoded

Body = TypeVar("Body", bound=msgspec.Struct)
Json = dict[str, object]

_BGE = msgspec.json.Decoder(BgeBody)
_SIGLIP = msgspec.json.Decoder(SiglipBody)
_VISION = msgspec.json.Decoder(VisionBody)


class KriptikWorker:
    """The dialect."""

    name = "kriptik-worker"
    prefix = "/kriptik-worker"
    failure = JobFailure
    max_items = 32  # of its BGE-M3 client
    info: Info | None = None
    pages: tuple[Page, ...] = ()

    def __init__(self) -> None:
        self.routes = (
            Route(
                path="/bge-m3/runsync",
                task="embed",
                summary="Vectors of texts: dense, sparse and one per token.",
                body=BgeBody,
                reply=JobReply,
                example=BgeBody(BgeInput(texts=["a cat is a small animal", "rain falls"])),
                read=lambda raw: decode(_BGE, raw),
                ask=ask_bge,
                write=_done(bge_output),
            ),
            Route(
                path="/siglip/runsync",
                task="embed",
                summary="Vectors of a picture or of texts, and how likely each text is about the picture.",
                body=SiglipBody,
                reply=JobReply,
                example=SiglipBody(SiglipInput(type="image", image=DARK)),
                read=lambda raw: decode(_SIGLIP, raw),
                ask=ask_siglip,
                write=_done(siglip_output),
                input="image",
            ),
            Route(
                path="/vl-jepa/runsync",
                task="embed",
                summary="Vectors of an intent, of a picture with a text, or of a video's frames.",
                body=VisionBody,
                reply=JobReply,
                example=VisionBody(VisionInput(type="intent", text="a page that sells bread")),
                read=lambda raw: decode(_VISION, raw),
                ask=ask_vision,
                write=_done(vision_output),
            ),
        )

    def fail(self, error: EmbedstackError) -> Wire:
        """As a job that failed, with the status that says whose fault it is."""
        return failed(error)

    def hear_failure(self, wire: Wire) -> EmbedstackError:
        """By the code, else by the status."""
        return failure(wire, {**CODES, UnknownModel.code: UnknownModel})


def _done(output: Callable[[Body, Encoded], Json]) -> Callable[[Body, Encoded], Wire]:
    def write(body: Body, answer: Encoded) -> Wire:
        return completed({**output(body, answer), **about(answer)}, answer)

    return write


def about(answer: Encoded) -> Json:
    """Who made an output, and of what kind its vectors are."""
    says = made_by(answer)
    width = answer.spec.dim if answer.dense is None else answer.dense.shape[1]
    has_vectors = answer.dense is not None or answer.multi is not None
    return {**says, "dimensions": width, "normalized": True} if has_vectors else says
