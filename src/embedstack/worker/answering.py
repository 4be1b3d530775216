"""A job as the SDK has it becomes its output: what its input asks for, by way of the dialect and the one Encoder."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import msgspec
import numpy as np
import orjson

from embedstack.dialects.dialect import AnyRoute, Limits
from embedstack.dialects.runpod import chosen_route, fail_job, forms_of
from embedstack.dialects.wire import Misfit
from embedstack.engine.answers import Find, answers_of, aside, size_of
from embedstack.engine.links import Links
from embedstack.errors import EmbedstackError, RuntimeFailed
from embedstack.types import Answer, Classified, Encoded, Encoder, Floats, Request, Scored
from embedstack.worker.kept import Kept, key_of
from embedstack.worker.output import Output, check_size, output_of

log = logging.getLogger(__name__)
Job = Mapping[str, object]


class Answering:
    """One for each worker; jobs are answered at the same time, their items in common batches.

    Args:
        limits: of one job.
        find: the model by a name or an alias, as the encoder has it.
        clock: what deadlines are reckoned on.
    """

    def __init__(
        self,
        encoder: Encoder,
        limits: Limits,
        links: Links,
        find: Find,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._encoder = encoder
        self._limits = limits
        self._links = links
        self._find = find
        self._clock = clock
        self._kept = Kept()

    async def answer(self, job: Job) -> Output:
        """The output of a job, or why there is none. Nothing is raised but the cancellation of the job."""
        job_id = str(job.get("id", ""))
        raw = b""
        try:
            raw = written(job.get("input"))
            return await self._answered(job, job_id, raw)
        except EmbedstackError as error:
            if error.status >= 500 and not error.retry:
                log.error("event=failed job=%s reason=%s", job_id, orjson.dumps(error.message).decode(), exc_info=error)
            return output_of(fail_job(raw, error))
        except Exception as error:
            log.error("event=bug job=%s", job_id, exc_info=error)
            lost = RuntimeFailed(f"internal error; see the worker's log of job {job_id}")
            return output_of(fail_job(raw, lost))

    async def _answered(self, job: Job, job_id: str, raw: bytes) -> Output:
        began = self._clock()
        key = await aside(len(raw), lambda: key_of(job_id, raw))
        output = self._kept.get(key)
        if output is None:
            output = await self._made(raw, job_id, *terms(job, began))
            if not output.error:
                self._kept.put(key, output)
        return output

    async def _made(self, raw: bytes, job_id: str, deadline: float | None, is_bulk: bool) -> Output:
        route, body, asked = await aside(len(raw), lambda: self._read(raw))
        requests = [
            replace(one, deadline=deadline, priority="bulk" if is_bulk else one.priority, caller=job_id)
            for one in (asked if isinstance(asked, tuple) else (asked,) if asked is not None else ())
        ]
        answers = await self._asked(route, body, requests) if requests else ()
        given = answers if isinstance(asked, tuple) else next(iter(answers), None)

        def write() -> Output:
            check_finite(answers)
            output = output_of(route.reply_to(body, given, self._encoder.models()))
            items = sum(map(len, {one.items for one in requests}))  # what is asked several things counts once
            check_size(len(output.body()), job_id, items, forms_of(body))
            return replace(output, items=items)

        return await aside(sum(map(size_of, answers)), write)

    def _read(self, raw: bytes) -> tuple[AnyRoute, msgspec.Struct, Request | tuple[Request, ...] | None]:
        """What the job is for, what it says, and what it asks of the model; None where no model is needed."""
        route, body = chosen_route(raw)
        return route, body, route.ask(body, self._limits, self._encoder.models())

    async def _asked(self, route: AnyRoute, body: msgspec.Struct, requests: Sequence[Request]) -> tuple[Answer, ...]:
        places = route.places
        return await answers_of(
            self._encoder,
            requests,
            links=self._links,
            find=self._find,
            places=lambda number: places(body, number) if places is not None else None,
            in_turn=route.in_turn,
        )


def written(given: object) -> bytes:
    """The input as the body of a request.

    Raises:
        Misfit: it holds what no JSON can, such as half of a surrogate pair.
    """
    try:
        return orjson.dumps({"input": given})
    except orjson.JSONEncodeError as error:
        raise Misfit(f"the input cannot be read as JSON ({error}); send valid Unicode and 64-bit numbers") from error


def terms(job: Job, now: float) -> tuple[float | None, bool]:
    """Until when the job must be done, and whether it may wait for others, as its policy has it.

    Source: https://docs.runpod.io/serverless/endpoints/send-requests (executionTimeout, in ms from when it is taken).
    """
    policy = job.get("policy")
    if not isinstance(policy, Mapping):
        return None, False
    timeout_ms, is_bulk = policy.get("executionTimeout"), policy.get("lowPriority") is True
    if not isinstance(timeout_ms, int | float) or isinstance(timeout_ms, bool) or timeout_ms <= 0:
        return None, is_bulk
    return now + timeout_ms / 1000, is_bulk


def check_finite(answers: Sequence[Answer]) -> None:
    """Refuse what JSON has no numbers for; they would be written as null.

    Raises:
        RuntimeFailed: names the first item with such a number.
    """
    for answer in answers:
        item = _broken(answer)
        if item is not None:
            raise RuntimeFailed(
                f"model {answer.spec.name!r} gave a number that is not finite for item {item}; "
                f"see what is wrong with: embedstack models prove {answer.spec.name}"
            )


def _broken(answer: Answer) -> int | None:
    """The first item with a number that is not finite."""
    match answer:
        case Encoded():
            lexical = [one.weights for one in answer.sparse or ()]
            rows: list[Sequence[Floats]] = [lexical, answer.multi or (), answer.states or ()]
            if answer.dense is not None:
                rows.append([answer.dense] if np.isfinite(answer.dense).all() else list(answer.dense))
        case Scored() | Classified():
            rows = [list(answer.scores)]
        case _:
            rows = []
    return next((item for kind in rows for item, row in enumerate(kind) if not np.isfinite(row).all()), None)
