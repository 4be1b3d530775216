"""Jobs that hold a path and a body: every POST of every dialect answers over a job, in its own words; and the models.

Source: `handler.py` of runpod-workers/worker-infinity-embedding at 8ef2eed, whose clients send `openai_route` and
`openai_input`; RunPod itself makes such jobs of what comes to `/openai/...`. As there, the output of OpenAI's
embeddings is a list with one object. Not as there, an error is an error of the job, in OpenAI's envelope, and not the
output of one that is done.
"""

import re
import time
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Literal

import msgspec
import orjson

from embedstack.dialects import DIALECTS, open_dialect
from embedstack.dialects.choosing import chosen, widened
from embedstack.dialects.dialect import AnyRoute, Limits, Page, Route, Wire
from embedstack.dialects.jobs import Json, completed, joined
from embedstack.dialects.openai import OpenAI, OpenAIError, models_body
from embedstack.dialects.places import Serving, places_of
from embedstack.dialects.runpod_identity import made
from embedstack.dialects.runpod_input import PATH, Kind, reader
from embedstack.dialects.runpod_outputs import AnyReply
from embedstack.dialects.runpod_shapes import ForwardInput, ForwardJob
from embedstack.dialects.wire import Misfit, dump
from embedstack.errors import EmbedstackError
from embedstack.modelspec import ModelSpec
from embedstack.types import Answer, Classified, Encoded, Request, Scored

LISTED = ("/v1/embeddings", "/embeddings")
ROUTE = re.compile(r"[\w.-]{0,64}(/[\w.-]{0,64}){1,8}", re.ASCII)
ELSE = "(no path)"  # in the place of what may be a text; no text is quoted
Answers = Answer | tuple[Answer, ...] | None


class ForwardFailure(msgspec.Struct, forbid_unknown_fields=True):
    """A job that failed, with the error as OpenAI's clients read it."""

    status: Literal["FAILED"]
    error: OpenAIError


_ENVELOPE = msgspec.json.Decoder(dict[str, msgspec.Raw])


def forward_routes() -> Mapping[Kind, AnyRoute]:
    """Jobs with a path: that of the models, and all others."""
    started = int(time.time())
    inner = msgspec.json.encode({"input": ["a cat is a small animal", "rain falls"]})
    return {
        "models": Route(
            path=PATH,
            task=None,
            summary="A job with the openai_route /v1/models: the models that are served.",
            body=ForwardJob,
            reply=AnyReply,
            example=ForwardJob(ForwardInput(openai_route="/v1/models")),
            read=reader("models", ForwardJob),
            ask=lambda body, limits, models: None,
            write=lambda body, answer: show_models((), started),
            show=lambda body, models: show_models(models, started),
            fail=fail_forward,
            failure=ForwardFailure,
        ),
        "forward": Route(
            path=PATH,
            task="embed",  # as its example; it may be any
            summary="A job with an openai_route and an openai_input: what this server gives at that path.",
            body=ForwardJob,
            reply=AnyReply,
            example=ForwardJob(ForwardInput(openai_route="/v1/embeddings", openai_input=msgspec.Raw(inner))),
            read=reader("forward", ForwardJob),
            ask=ask_forward,
            write=write_forward,
            places=places_in,
            fail=fail_forward,
            failure=ForwardFailure,
        ),
    }


def ask_forward(body: ForwardJob, limits: Limits, models: Sequence[ModelSpec]) -> Request | tuple[Request, ...] | None:
    """What the route that the job names would ask for.

    Raises:
        Misfit: no dialect has it, in the words of Infinity's worker; or the body is none for it.
    """
    route, inner = _inner(body, models, limits)
    asked: Request | tuple[Request, ...] | None = route.ask(inner, limits, models)
    return asked


def write_forward(body: ForwardJob, answer: Answers) -> Wire:
    """The reply of that route as an output, with who made it where it is an object that does not say so."""
    answers = answer if isinstance(answer, tuple) else () if answer is None else (answer,)
    specs = tuple(one.spec for one in answers)
    # of the models only that of the answer is left; the route of its task is the one that was chosen among all
    find = {spec.name: spec for spec in specs}.get
    serving, inner = chosen(_servings(body), _body(body), specs, lambda name: find(name) or next(iter(specs), None))
    wire = widened(_route(serving).write(inner, answer), serving, _servings(body), next(iter(answers), None))
    output = joined(wire.body, _identity(answer)) if wire.body.startswith(b"{") else wire.body
    return completed([orjson.Fragment(output)] if _path(body) in LISTED else output, answer)


def _identity(answer: Answers) -> Json:
    return made(answer) if isinstance(answer, Encoded | Scored | Classified) else {}


def places_in(body: ForwardJob, number: int) -> Sequence[int]:
    """Where the items of one of several requests stand in the inner body, as its own route has it."""
    serving, inner = chosen(_servings(body), _body(body), (), lambda name: None)
    places = _route(serving).places
    assert places is not None  # a route that asks for several requests says so
    return places(inner, number)


def _inner(body: ForwardJob, models: Sequence[ModelSpec], limits: Limits) -> tuple[AnyRoute, msgspec.Struct]:
    servings, raw = _servings(body), _body(body)
    try:
        serving, inner = chosen(servings, raw, models, lambda name: limits.spec_of(name, models))
    except Misfit as error:
        error.args = (f"openai_input: {error.message}", *error.args[1:])
        raise
    return _route(serving), inner


def _route(serving: Serving) -> AnyRoute:
    assert not isinstance(serving.what, Page)
    return serving.what


def _servings(body: ForwardJob) -> tuple[Serving, ...]:
    servings = _table().get(_path(body))
    if servings is None:
        route = body.input.openai_route
        raise Misfit(f"Invalid OpenAI Route: {route if ROUTE.fullmatch(route) else ELSE}", "openai_route")
    return servings


def _body(body: ForwardJob) -> bytes:
    raw = bytes(body.input.openai_input)
    if raw in (b"null", b"{}"):
        raise Misfit("Missing input", "openai_input")
    return raw


def _path(body: ForwardJob) -> str:
    return "/" + body.input.openai_route.strip("/")


@cache
def _table() -> Mapping[str, tuple[Serving, ...]]:
    """The POSTs of all other dialects, as the server has them: under their prefixes, and at the root by precedence."""
    others = [open_dialect(name) for name in DIALECTS if name != "runpod"]
    return {place.path: place.servings for place in places_of(others) if place.method == "POST"}


# ------------------------------------------------------------------------------------------------ models and errors


def show_models(models: Sequence[ModelSpec], started: int) -> Wire:
    """The models that are served, as OpenAI's page has them."""
    return completed(models_body(models, started))


def fail_forward(error: EmbedstackError) -> Wire:
    """The error in OpenAI's envelope, within a job that failed."""
    wire = OpenAI().fail(error)
    envelope = _ENVELOPE.decode(wire.body)
    body = dump({"status": "FAILED", "error": orjson.Fragment(bytes(envelope["error"]))})
    return Wire(wire.status, body, wire.headers)
