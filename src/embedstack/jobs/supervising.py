"""A command line for each part of a job -> processes that work on them, started again where they die, and one end."""

import asyncio
import signal
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial

import msgspec

from embedstack.errors import ConfigError, RuntimeFailed
from embedstack.jobs.events import Did, Ended, Event, Lost
from embedstack.jobs.quarantine import Again, Hopeless, Quarantine
from embedstack.jobs.working import STOPPED, failed, on_signals, stopped

Careful = Mapping[int, frozenset[int]]
Words = Callable[[int, Careful], Sequence[str]]
"""Which part (from 0), and what to be careful with -> the command line."""
LONGEST_LINE = 1 << 24  # an event holds ids of documents, and these may be long
SHOWN = 1000  # bytes of a line that is longer: more of it tells nobody more
BLOCK = 1 << 16
LAST_LINES = 3
GRACE_S = 10.0  # from SIGTERM to SIGKILL, as `docker stop` has it
ASKED_TO_END = frozenset({-signal.SIGTERM, 128 + signal.SIGTERM, -signal.SIGINT, 128 + signal.SIGINT})
_events = msgspec.json.Decoder(Event)


class Supervisor:
    """Processes that each do a part of one job.

    They end when this one does, however that is: their stdin is a pipe from here, and they watch it. A signal to this
    process is passed on to them; a second one kills them.

    Args:
        told: takes every event, with the number of the part.
        gone: told the number of a part whose process ended.
        note: takes a line for people.
    """

    def __init__(
        self,
        words: Words,
        processes: int,
        *,
        told: Callable[[int, Event], None],
        gone: Callable[[int], None] = lambda seat: None,
        note: Callable[[str], None] = lambda text: None,
        quarantine: Quarantine | None = None,
    ) -> None:
        self._words, self._processes = words, processes
        self._told, self._gone, self._note = told, gone, note
        self._quarantine = quarantine or Quarantine()
        self._children: dict[int, asyncio.subprocess.Process] = {}
        self._over = asyncio.Event()
        self._signals: list[int] = []
        self._done = self._lost = 0

    async def run(self) -> Ended:
        """All of it: how it ended, and how many shards were done and lost by all of them."""
        with on_signals(self._signalled):
            seats = [asyncio.ensure_future(self._seat(seat)) for seat in range(self._processes)]
            ends: list[Ended] = []
            try:
                for next_end in asyncio.as_completed(seats):
                    ends.append(await next_end)
                    if ends[-1].exit_code:
                        self._over.set()
                        self._send(signal.SIGTERM)
                        self._kill_later()
            finally:
                self._over.set()
                await self._end_all()
                await asyncio.gather(*seats, return_exceptions=True)
        bad = [stopped(self._signals[0])] if self._signals else [end for end in ends if end.exit_code]
        ended = bad[0] if bad else ends[0]
        return msgspec.structs.replace(ended, done=self._done, lost=self._lost)

    def _signalled(self, number: int) -> None:
        self._signals.append(number)
        self._over.set()
        if len(self._signals) > 1:
            self._send(signal.SIGKILL)
        else:
            self._send(signal.SIGTERM)
            self._kill_later()

    def _kill_later(self) -> None:
        asyncio.get_running_loop().call_later(GRACE_S, self._send, signal.SIGKILL)

    async def _end_all(self) -> None:
        """SIGTERM, and SIGKILL for whoever is still there after the grace."""
        self._send(signal.SIGTERM)
        waits = [asyncio.ensure_future(child.wait()) for child in self._children.values()]
        if waits:
            _, late = await asyncio.wait(waits, timeout=GRACE_S)
            if late:
                self._send(signal.SIGKILL)
                await asyncio.wait(late)

    def _send(self, number: int) -> None:
        for child in self._children.values():
            if child.returncode is None:
                with suppress(ProcessLookupError):
                    child.send_signal(number)

    async def _seat(self, seat: int) -> Ended:
        """One process after the other, until one says that its part is done."""
        while not self._over.is_set():
            ended, why, code = await self._child(seat)
            self._gone(seat)
            if ended is not None:
                return ended
            if self._over.is_set():
                break
            match self._quarantine.died(seat, why, is_blamed=code not in ASKED_TO_END):
                case Hopeless(reason):
                    return failed(RuntimeFailed(reason))
                case Again(after_s, note):
                    self._note(note)
                    with suppress(asyncio.TimeoutError):  # another class before Python 3.11
                        await asyncio.wait_for(self._over.wait(), after_s)
        return Ended(done=0, lost=0)

    async def _child(self, seat: int) -> tuple[Ended | None, str, int]:
        """One process: its last event if it was the end, how it ended in words, its exit status."""
        words = self._words(seat, self._quarantine.careful)
        child = await self._started(words)
        self._children[seat] = child
        if self._over.is_set():  # it was started while all were being ended
            self._send(signal.SIGTERM)
        last: deque[str] = deque(maxlen=LAST_LINES)
        assert child.stdout is not None
        assert child.stderr is not None
        reading = asyncio.ensure_future(_each_line(child.stderr, partial(self._heard, seat, last)))
        try:
            ended = await self._listen(seat, child.stdout, last)
            code = await child.wait()
            await reading
        finally:
            reading.cancel()
            del self._children[seat]
            if child.returncode is None:
                child.kill()
                await child.wait()
        if ended is not None and ended.code == STOPPED and not self._over.is_set():
            ended = None  # somebody else asked it to end
        return ended, _how(code, last), code

    async def _started(self, words: Sequence[str]) -> asyncio.subprocess.Process:
        try:
            return await asyncio.create_subprocess_exec(
                *words,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is for this process, which passes it on
            )
        except OSError as error:
            raise ConfigError(f"a process for a part of the job cannot be started ({error})") from error

    async def _listen(self, seat: int, stream: asyncio.StreamReader, last: "deque[str]") -> Ended | None:
        """Until it says no more; what it wrote before an event is no word of its end."""
        ended: Ended | None = None

        def heard(text: str) -> None:
            nonlocal ended
            try:
                event = _events.decode(text)
            except msgspec.DecodeError:  # printed before stdout belonged to events
                self._note(text)
                return
            last.clear()
            self._quarantine.told(seat, event)
            self._done += isinstance(event, Did)
            self._lost += isinstance(event, Lost)
            if isinstance(event, Ended):
                ended = event
            self._told(seat, event)

        await _each_line(stream, heard)
        return ended

    def _heard(self, seat: int, last: "deque[str]", text: str) -> None:
        last.append(text)
        self._note(f"[{seat}] {text}" if self._processes > 1 else text)


async def _each_line(stream: asyncio.StreamReader, heard: Callable[[str], None]) -> None:
    """What stands behind the last line end is of a process that died while it wrote, so nobody hears it.

    Of a line that is too long only the beginning is kept: who waits to write the rest of it would wait for ever.
    """
    line = bytearray()
    while block := await stream.read(BLOCK):
        *ends, rest = block.split(b"\n")
        for end in ends:
            _keep(line, end)
            kept = line if len(line) <= LONGEST_LINE else line[:SHOWN]
            if text := kept.decode(errors="replace").strip():
                heard(text)
            line.clear()
        _keep(line, rest)


def _keep(line: bytearray, more: bytes) -> None:
    """Once too long, a line is its beginning; one byte above the longest, so that it is known for that."""
    line += more[: LONGEST_LINE + 1 - len(line)]


def _how(code: int, last: "deque[str]") -> str:
    """How a process ended, with what it said last."""
    try:
        name = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
    except ValueError:  # of a signal that this system does not name
        name = f"by signal {-code}"
    return f"{name}: {last[-1]}" if last else name
