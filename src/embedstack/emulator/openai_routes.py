"""Requests of OpenAI's clients become jobs of `openai_route` and `openai_input`; their outputs become its replies."""

from collections.abc import AsyncIterator

import msgspec
import orjson

from embedstack.emulator.calls import Call, Reply, json_reply, page, refused, unknown_shape
from embedstack.emulator.data import until_ended
from embedstack.emulator.job import Job, Json, Submission

END_OF_STREAM = b"data: [DONE]\n\n"


class _Asked(msgspec.Struct):
    stream: bool | None = None


_ASKED = msgspec.json.Decoder(_Asked)
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_TEXT = msgspec.json.Decoder(str)


async def openai(call: Call) -> Reply:
    """Any path of OpenAI's API; waits for the job, or passes its chunks on as they come."""
    try:
        call.body.decode()
        asked = _ASKED.decode(call.body or b"{}")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return refused(f"the body cannot be read ({error}); send a JSON object")
    job = call.endpoint.book.submit(_submission(call), call.now)
    if asked.stream:
        return Reply(content_type="text/event-stream", chunks=_events(call, job))
    if not await until_ended(call, job, call.platform.unknowns.edge_timeout_s):
        is_there = call.endpoint.book.find(job.id, call.now) is not None
        return page(524) if is_there else unknown_shape(call.platform, 404)
    return _replied(call, job)


def _submission(call: Call) -> Submission:
    route = orjson.dumps("/" + "/".join(call.rest))
    given = b'{"openai_route":%b,"openai_input":%b}' % (route, call.body or b"{}")
    return Submission(input=given, is_sync=True)


def _replied(call: Call, job: Job) -> Reply:
    if job.status != "COMPLETED":
        error = orjson.Fragment(job.error or orjson.dumps(f"job is {job.status}"))
        return json_reply({"error": error}, call.platform.unknowns.openai_error_status)
    return Reply(body=first_of(job.output, job.chunks))


def first_of(output: Json | None, chunks: list[Json]) -> Json:
    """The reply in an output: a list's first element, the output that is none, else the first chunk."""
    output = output or b"null"
    if not output.lstrip().startswith(b"["):
        return output
    parts = _LIST.decode(output)
    if parts:
        return bytes(parts[0])
    return chunks[0] if chunks else b"null"


async def _events(call: Call, job: Job) -> AsyncIterator[bytes]:
    until = call.now + call.platform.unknowns.edge_timeout_s
    book, ended, count = call.endpoint.book, False, 0
    while not ended:
        ended = job.is_final or call.is_over or call.now >= until or book.find(job.id, call.now) is None
        for chunk in book.drain(job):
            count += 1
            yield _event(chunk)
        if not ended:
            await call.endpoint.bells.heard(job.id, call, until=until)
    if job.status == "COMPLETED":
        if not count:
            yield _event(first_of(job.output, []))
        yield END_OF_STREAM
    elif job.error is not None:
        yield b'data: {"error":%b}\n\n' % job.error


def _event(chunk: Json) -> bytes:
    """A chunk that is text is events already, as vLLM's worker sends them; anything else becomes one."""
    if not chunk.lstrip().startswith(b'"'):
        return b"data: %b\n\n" % chunk
    text = _TEXT.decode(chunk).rstrip("\n")
    return b"" if text == END_OF_STREAM.decode().rstrip("\n") else text.encode() + b"\n\n"
