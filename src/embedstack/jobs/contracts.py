"""Source system E's `EmbeddingInterface`, with its own names: the job of a folder, planned, done and gone on with.

Its twin that reads, `EmbeddingsInterface`, is in `consuming.py`; both can be had from here.
"""

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import msgspec

from embedstack.documents.handed import Files
from embedstack.documents.source import Source, open_source
from embedstack.engine.background import wait
from embedstack.errors import BadRequest, EmbedstackError, Mismatch
from embedstack.jobs.arrow import pa, pq
from embedstack.jobs.commit import Manifest
from embedstack.jobs.consuming import Embedding, EmbeddingsInterface, InterfaceVersion, to_pandas
from embedstack.jobs.events import Ended
from embedstack.jobs.finished import finished, opened_part
from embedstack.jobs.ledger import Ledger
from embedstack.jobs.opened import Opened, asking
from embedstack.jobs.plan import Plan, Wish
from embedstack.jobs.planning import load_plan
from embedstack.jobs.planning import plan as plan_job
from embedstack.jobs.running import Runner
from embedstack.jobs.table import schema
from embedstack.storage.opening import open_storage
from embedstack.types import Floats, Text

__all__ = [
    "CheckpointState",
    "Embedding",
    "EmbeddingInterface",
    "EmbeddingsInterface",
    "InterfaceVersion",
    "ParquetFile",
    "to_pandas",
]

HANDED = ("object",)  # what a plan says of input that was handed over

Open = Callable[[Wish], AbstractAsyncContextManager[Opened]]


class CheckpointState(msgspec.Struct, frozen=True, kw_only=True):
    """How far a job is. What is needed to go on with it is in its folder; this says which one, and of which plan."""

    out: str
    plan: str  # digest
    shards: int
    shards_done: int
    documents: int
    documents_done: int
    interface_version: str = InterfaceVersion.get_version()

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to do."""
        return self.shards_done == self.shards


@dataclass(frozen=True, slots=True)
class ParquetFile:
    """A finished table: one file for each shard that has rows, in order."""

    out: str
    files: tuple[str, ...]  # keys below `out`
    rows: int
    dim: int
    fingerprint: str


class EmbeddingInterface:
    """Makes the table of one folder or bucket. Calls block; use it from one thread, and close it, or use `with`.

    Args:
        out: where the table is made; another one for other files.
        wish: model, role, chunking and all else but the input.
        opener: opens the model when it is first needed: `partial(embedstack.jobs.opening.open_here, settings=...)`.
        files: where file paths are looked up, if not on this machine: an object with `list_files` and `download`.
        spool: for files that are being written; the system's folder for such if None.
    """

    def __init__(
        self,
        out: str | Path,
        wish: Wish,
        opener: Open,
        files: Files | None = None,
        *,
        spool: Path | None = None,
    ) -> None:
        self._wish, self._open, self._files = wish, opener, files
        self._storage = open_storage(out)
        self._spool = spool
        self._stack = AsyncExitStack()
        self._opened: Opened | None = None

    def generate_embeddings(self, texts: Sequence[str]) -> Floats:
        """(texts, dim) as the table would hold them; nothing is stored, and nothing is cut.

        Raises:
            TooLong: a text is over the model's limit. BadRequest: one is empty.
        """
        return wait(self._encoded(texts))

    def batch_process(self, file_paths: Sequence[str | Path]) -> ParquetFile:
        """Plan these files into `out` and do it all; after a crash the same call goes on where it was.

        Raises:
            Mismatch: other files, or another wish, were planned there. TooManyDead: over 1 % of the documents failed.
        """
        if not file_paths:
            raise BadRequest("file_paths is empty; name at least one file")
        return wait(self._process(file_paths))

    def get_checkpoint(self) -> CheckpointState:
        """How far the job in `out` is, whoever works on it.

        Raises:
            Missing: nothing is planned there.
        """
        plan = load_plan(self._storage)
        done = list(Ledger(self._storage, plan).records())
        return CheckpointState(
            out=self._storage.url,
            plan=plan.digest,
            shards=plan.shards,
            shards_done=len(done),
            documents=plan.docs,
            documents_done=sum(commit.docs for commit in done),
        )

    def resume_from_checkpoint(self, state: CheckpointState) -> ParquetFile:
        """Go on with that job until it is done. What was done after the checkpoint was taken is not done again.

        Raises:
            Mismatch: it is of another place, another plan or another version of this interface; or the input changed.
        """
        if not InterfaceVersion.check_compatibility(state.interface_version):
            raise Mismatch(
                f"the checkpoint is of version {state.interface_version}, this is {InterfaceVersion.get_version()}"
            )
        plan = load_plan(self._storage)
        if (state.out, state.plan) != (self._storage.url, plan.digest):
            raise Mismatch(
                f"the checkpoint is of plan {state.plan[:12]} in {state.out!r}, and here is {plan.digest[:12]} in "
                f"{self._storage.url!r}; open the interface with that place"
            )
        return wait(self._resumed(plan))

    def read_parquet(self, file: ParquetFile) -> pa.Table:
        """All rows of a finished table, in memory; `EmbeddingsInterface` reads larger ones bit by bit."""
        found = finished(self._storage)
        tables = [schema(found.plan.wish, found.manifest.identity).empty_table()]
        for part in [part for part in found.manifest.parts if part.key in file.files]:
            with opened_part(self._storage, part), self._storage.open(part.key) as stored:
                tables.append(pq.read_table(stored).replace_schema_metadata())  # it has the shard's number
        return pa.concat_tables(tables)

    def close(self) -> None:
        """The model is let go; a later call opens it again."""
        self._opened = None
        wait(self._stack.aclose())

    def __enter__(self) -> "EmbeddingInterface":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ------------------------------------------------------------------ on the loop

    async def _model(self) -> Opened:
        if self._opened is None:
            self._opened = await self._stack.enter_async_context(self._open(self._wish))
        return self._opened

    async def _encoded(self, texts: Sequence[str]) -> Floats:
        opened = await self._model()
        items = [Text(text, self._wish.role) for text in texts]
        made = (await opened.encoder.encode(asking(opened.model, items, self._wish))).dense
        assert made is not None  # else the probes had found it out
        return made

    async def _process(self, file_paths: Sequence[str | Path]) -> ParquetFile:
        opened = await self._model()
        names = [str(path) for path in file_paths]
        inputs = HANDED if self._files is not None else tuple(map(placed, names))
        wish = msgspec.structs.replace(self._wish, inputs=inputs)
        source = self._source(wish, names)
        plan = await asyncio.to_thread(plan_job, wish, source, opened, self._storage, folder=self._spool)
        return await self._run(plan, source, opened)

    async def _resumed(self, plan: Plan) -> ParquetFile:
        return await self._run(plan, self._source(plan.wish), await self._model())

    async def _run(self, plan: Plan, source: Source, opened: Opened) -> ParquetFile:
        with tempfile.TemporaryDirectory(prefix="embedstack-", dir=self._spool) as folder:
            ended = await Runner(plan, source, self._storage, opened, spool=Path(folder)).run()
        _check(ended)
        return self._table(finished(self._storage).manifest)

    def _source(self, wish: Wish, names: Sequence[str] = ()) -> Source:
        """What was planned; of files that were handed over only those that were named, or all if none was."""
        if wish.inputs != HANDED:
            return open_source(wish.inputs, wish.reading)
        if self._files is None:
            raise BadRequest("the input was handed over as an object; open the interface with files=")
        return open_source(_Some(self._files, frozenset(names)) if names else self._files, wish.reading)

    def _table(self, manifest: Manifest) -> ParquetFile:
        files = tuple(part.key for part in manifest.parts)
        identity = manifest.identity
        return ParquetFile(self._storage.url, files, manifest.rows, identity.dim, identity.fingerprint)


class _Some:
    """Some of the files of an object."""

    def __init__(self, files: Files, names: frozenset[str]) -> None:
        self._files, self._names = files, names

    def list_files(self) -> list[object]:
        """As the object says them."""
        listed = [(one if isinstance(one, str) else one[0], one) for one in self._files.list_files()]  # type: ignore[index]
        if missing := self._names - {name for name, _ in listed}:
            raise BadRequest(
                f"{sorted(missing)[0]!r} is no file of the object that was handed over; see its list_files"
            )
        return [one for name, one in listed if name in self._names]

    def download(self, name: str) -> object:
        """As the object does."""
        return self._files.download(name)


def placed(name: str) -> str:
    """The same file from every folder."""
    return name if "://" in name else str(Path(name).absolute())


def _check(ended: Ended) -> None:
    """Raises: the error that a runner ended with."""
    if ended.exit_code:
        raise _kinds(EmbedstackError).get(ended.code, EmbedstackError)(ended.error)


def _kinds(root: type[EmbedstackError]) -> dict[str, type[EmbedstackError]]:
    """Errors by their codes."""
    made = {root.code: root}
    for kind in root.__subclasses__():
        made = {**_kinds(kind), **made}
    return made
