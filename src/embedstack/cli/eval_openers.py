"""The names of systems, and settings -> the models and databases behind them, each opened once and closed together."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType

from embedstack.api import open_engine, open_router
from embedstack.databases.database import Database
from embedstack.databases.opening import open_database
from embedstack.engine.background import wait
from embedstack.engine.engine import Engine
from embedstack.evals.systems.naming import FusedName, ModelName, RerankedName, SystemName
from embedstack.modelspec import ModelSpec, Task
from embedstack.settings import Settings
from embedstack.types import (
    Classified,
    Classify,
    Decode,
    Decoded,
    Encode,
    Encoded,
    Encoder,
    Score,
    Scored,
    Tokenize,
    Tokenized,
)


class EvalOpeners:
    """Opens what systems ask for, and keeps it until the end; see `evals.systems.opening.Openers`.

    All models on this machine that systems name share one engine, so they share its threads and wait in one line; one
    that only a collection names comes with an engine of its own.

    Args:
        names: of all systems.
        environ: where providers and their keys are found.
        say: takes a line for the person who waits.
    """

    def __init__(
        self, names: Sequence[SystemName], settings: Settings, environ: Mapping[str, str], say: Callable[[str], None]
    ) -> None:
        self._here = list(dict.fromkeys(model for name in names for model in models_here(name)))
        self._settings = settings
        self._environ = environ
        self._say = say
        self._engine: Engine | None = None
        self._models: dict[str, Encoder] = {}
        self._endpoints: dict[tuple[str, str, Task], Encoder] = {}
        self._databases: dict[str, Database] = {}
        self._stack = ExitStack()

    def __enter__(self) -> "EvalOpeners":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def encoder(self, name: ModelName, task: Task) -> Encoder:
        """A model, wherever it is.

        Raises:
            As the two below.
        """
        return self.endpoint(name.model, name.where, task) if name.where else self.model(name.model)

    def model(self, name: str) -> Encoder:
        """A model on this machine.

        Raises:
            As `open_engine`.
        """
        if name not in self._models:
            self._models[name] = OfOne(self._engine_of(name), name)
        return self._models[name]

    def endpoint(self, name: str, where: str, task: Task) -> Encoder:
        """A model elsewhere; nothing is asked of it yet.

        Raises:
            As `plan_via` and `open_router`.
        """
        from embedstack.client.environment import plan_via  # with httpx, which takes longer to import than all else

        key = name, where, task
        if key not in self._endpoints:
            router = open_router(plan_via(where, task, self._environ, model=name), self._settings, self._say)
            self._stack.callback(lambda: wait(router.close()))
            self._endpoints[key] = router
        return self._endpoints[key]

    def database(self, url: str) -> Database:
        """A database; nothing is asked of it yet.

        Raises:
            As `open_database`.
        """
        if url not in self._databases:
            self._databases[url] = open_database(url, api_key=self._settings.qdrant_api_key)
            self._stack.callback(self._databases[url].close)
        return self._databases[url]

    def _engine_of(self, name: str) -> Engine:
        if name not in self._here:
            return self._opened([name])
        if self._engine is None:
            self._engine = self._opened(self._here)
        return self._engine

    def _opened(self, names: Sequence[str]) -> Engine:
        engine = open_engine(self._settings, names, self._say)
        self._stack.callback(engine.close)
        return engine


class OfOne:
    """One of an engine's models, as if the others were not there.

    Args:
        name: as a user wrote it.
    """

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self._spec = engine.find(name, None).spec

    async def encode(self, request: Encode) -> Encoded:
        return await self._engine.encode(request)

    async def score(self, request: Score) -> Scored:
        return await self._engine.score(request)

    async def classify(self, request: Classify) -> Classified:
        return await self._engine.classify(request)

    async def tokens(self, request: Tokenize) -> Tokenized:
        return await self._engine.tokens(request)

    async def decode(self, request: Decode) -> Decoded:
        return await self._engine.decode(request)

    def models(self) -> tuple[ModelSpec, ...]:
        """It alone."""
        return (self._spec,)


def parts(name: SystemName) -> Iterator[SystemName]:
    """A system and all that it is made of."""
    yield name
    match name:
        case FusedName():
            yield from name.legs
        case RerankedName():
            yield from parts(name.first)
            yield name.reranker


def models_here(name: SystemName) -> Iterator[str]:
    """The models on this machine that a system names."""
    return (part.model for part in parts(name) if isinstance(part, ModelName) and not part.where)
