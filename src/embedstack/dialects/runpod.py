"""RunPod's jobs as routes: `POST /runsync` with `{"input": …}`, of whichever kind the input is; and `/ping`.

All routes stand at two paths: `/runsync`, which RunPod's clients call, and `/`, which its workers have where they are
tried alone. What is beside `input` is ignored. Which inputs there are, and whose they are: see `runpod_input`. A worker
finds the same routes by `chosen_route`.

Source of `/ping`: https://docs.runpod.io/serverless/load-balancing/overview, 200 when healthy, 204 while initializing.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache

import msgspec

from embedstack.dialects.dialect import AnyRoute, Info, Page, Status, Wire
from embedstack.dialects.failure import CODES, failure
from embedstack.dialects.infinity import EmbeddingsBody
from embedstack.dialects.jobs import JobFailure, failed
from embedstack.dialects.runpod_forward import forward_routes
from embedstack.dialects.runpod_input import PATH, JobRefused, Kind, kind_of
from embedstack.dialects.runpod_late import late_routes
from embedstack.dialects.runpod_pictures import picture_routes
from embedstack.dialects.runpod_query import query_routes
from embedstack.dialects.runpod_scores import score_routes
from embedstack.dialects.runpod_shapes import Written
from embedstack.dialects.runpod_tokens import token_routes
from embedstack.dialects.runpod_vectors import vector_routes
from embedstack.errors import BadRequest, EmbedstackError, UnknownModel

PATHS = (PATH, "/")


class RunPodFailure(JobFailure, forbid_unknown_fields=True, kw_only=True):
    """A job that failed, and what a worker gives with the error."""

    embeddings: list[list[float]] | msgspec.UnsetType = msgspec.UNSET


class RunPod:
    """The dialect."""

    name = "runpod"
    prefix = "/runpod"
    failure = RunPodFailure
    max_items = 100  # documents of one job at most, in the plan of the RAG stack; texts of any client are fewer
    info: Info | None = None

    def __init__(self) -> None:
        self.routes = tuple(replace(route, path=path) for path in PATHS for route in _routes().values())
        self.pages = (
            Page(
                path="/ping",
                summary="200 when vectors can be had, 204 while loading, else 503; all without a body.",
                reply=None,
                show=_ping,
                needs_key=False,
            ),
        )

    def fail(self, error: EmbedstackError) -> Wire:
        """As a job that failed, with the status that says whose fault it is."""
        return failed(error, error.beside if isinstance(error, JobRefused) else None)

    def hear_failure(self, wire: Wire) -> EmbedstackError:
        """By the code, else by the status."""
        return failure(wire, {**CODES, UnknownModel.code: UnknownModel})


def chosen_route(raw: bytes) -> tuple[AnyRoute, msgspec.Struct]:
    """The route that a job is for, and its body.

    An error of this route has the envelope of its own `fail`, where it has one: see `fail_job`.

    Args:
        raw: JSON of an object with `input`.
    Raises:
        Misfit: it is for none, or wrong; in the words of the worker that takes such inputs.
    """
    route = _routes()[kind_of(raw)]
    return route, route.read(raw)


def fail_job(raw: bytes, error: EmbedstackError) -> Wire:
    """The failure of a job, in the envelope that its kind has.

    Args:
        raw: as for `chosen_route`; it may be wrong.
    """
    try:
        fail = _routes()[kind_of(raw)].fail
    except BadRequest:
        fail = None
    return (fail or RunPod().fail)(error)


def forms_of(body: msgspec.Struct) -> tuple[Written, ...]:
    """How the vectors of a job may be written instead of as numbers, if it has vectors."""
    given = getattr(body, "input", None)
    if not hasattr(given, "encoding_format"):
        return ()
    return ("base64",) if isinstance(given, EmbeddingsBody) else ("base64", "float16")


@cache
def _routes() -> Mapping[Kind, AnyRoute]:
    """All of them, in the order in which a client looks for one that carries what it wants."""
    return {
        **vector_routes(),
        **score_routes(),
        **query_routes(),
        **late_routes(),
        **token_routes(),
        **picture_routes(),
        **forward_routes(),
    }


def _ping(status: Status, _: str) -> Wire:
    if status.state == "loading" and not status.is_usable:
        return Wire(204, b"")
    return Wire(200 if status.is_usable else 503, b"")
