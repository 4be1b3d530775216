"""Names of models, and what collections say whose their vectors are -> who reads texts; each model is opened once."""

from collections.abc import Sequence
from typing import Protocol

from embedstack.databases.database import Kind
from embedstack.errors import UnknownModel, Unsupported
from embedstack.evals.systems.encoded import Shared
from embedstack.evals.systems.naming import ModelName, SystemName, models_of
from embedstack.evals.systems.vectored import Reader
from embedstack.evals.systems.words import Words
from embedstack.modelspec import ModelSpec, Task
from embedstack.origin import Identity, Origin, check_space
from embedstack.search.bm25 import known
from embedstack.types import Encoder

BM25 = "bm25-"  # how the model of lexical vectors of ours is called
GIVES: dict[Task, str] = {"embed": "vectors", "rerank": "the scores of a reranker", "classify": "labels"}
TAKE: dict[Task, str] = {
    "embed": "write bm25~MODEL where it shall put in order what another system finds",
    "rerank": "take a reranker, such as bge-reranker-v2-m3",
    "classify": "take another model",
}


class ModelOpeners(Protocol):
    """Who opens models. The same name gives the same one."""

    def model(self, name: str) -> Encoder:
        """One on this machine, as `open_engine` takes it.

        Raises:
            UnknownModel: it is none that can be found by this name.
        """
        ...

    def endpoint(self, name: str, where: str, task: Task) -> Encoder:
        """One elsewhere, as `--via` takes it."""
        ...


class Readers:
    """All that the systems of an evaluation need.

    Args:
        names: the systems'; their models are opened at once, so that one that is not there is known before any work.
        dim: of documents' dense vectors; the model's own if None.
        roles: as which queries and documents are read.
    Raises:
        Unsupported: a model gives no such vectors. What `openers` raise.
    """

    def __init__(
        self, openers: ModelOpeners, names: Sequence[SystemName], *, dim: int | None, roles: tuple[str, str]
    ) -> None:
        self._openers = openers
        self._dim = dim
        self._roles = roles
        self._opened: dict[tuple[str, str], Shared] = {}
        models = [model for name in names for model in models_of(name)]
        for model in models:
            kinds = frozenset(one.kind for one in models if (one.model, one.where) == (model.model, model.where))
            self._open(model, kinds)

    def of(self, name: ModelName) -> Shared:
        """The one of that name."""
        return self._open(name, frozenset())

    def for_origin(self, signed: Origin, kind: Kind, place: str) -> tuple[Reader, int | None]:
        """Who reads queries for vectors that are there, and how wide dense ones must be, if not as the model has them.

        It is the model of the name that is signed, or one that a system names and that is of the same space.

        Args:
            place: where the vectors are, for messages.
        Raises:
            Mismatch: the model of that name is of another space now. UnknownModel: there is none.
        """
        there = signed.identity
        if kind == "sparse" and there.model.startswith(BM25):
            bm25 = known(there)
            return Words(there.model, bm25.language, bm25), None
        reader = self.model_for(signed, place)
        return reader, None if kind != "dense" or reader.spec.dim in (0, there.dim) else there.dim

    def model_for(self, signed: Origin, place: str) -> Shared:
        """The model that is signed; as `for_origin`.

        Raises:
            As `for_origin`.
        """
        there = signed.identity
        named, why = self._of_name(there.model)
        fitting = [one for one in (named, *self._opened.values()) if one is not None and one.spec.space == there.space]
        if not fitting:
            if named is not None:
                check_space(signed, _origin(named.spec, there.dim), place)
            raise UnknownModel(
                f"{place} holds vectors of {signed.name}, and no such model is found: {why}; name its folder or its "
                "endpoint as a system, too"
            )
        return fitting[0]

    def _of_name(self, name: str) -> tuple[Shared | None, str]:
        """And why there is none."""
        try:
            return self._open(ModelName(name), frozenset()), ""
        except UnknownModel as error:
            return None, error.message

    def _open(self, name: ModelName, kinds: frozenset[Kind]) -> Shared:
        key = name.model, name.where
        if key not in self._opened:
            if name.where:
                encoder = self._openers.endpoint(name.model, name.where, "embed")
            else:
                encoder = self._openers.model(name.model)
            spec = spec_of(encoder, "embed", name.place)
            if not name.where:  # what an endpoint gives is known when it answers
                _check_kinds(spec, kinds, name.place)
            self._opened[key] = Shared(encoder, spec, name.place, kinds=kinds, dim=self._dim, roles=self._roles)
        return self._opened[key]


def spec_of(encoder: Encoder, task: Task, place: str) -> ModelSpec:
    """Of the encoder's models the first one for the task.

    Args:
        place: the model for people.
    Raises:
        Unsupported: there is none.
    """
    specs = encoder.models()
    for spec in specs:
        if spec.task == task:
            return spec
    gives = ", ".join(GIVES[spec.task] for spec in specs) or "nothing"
    raise Unsupported(f"model {place!r} gives {gives}, and {GIVES[task]} are wanted; {TAKE[task]}")


def _check_kinds(spec: ModelSpec, kinds: frozenset[Kind], place: str) -> None:
    for kind in sorted(kinds - set(spec.outputs)):
        raise Unsupported(f"model {place!r} gives no {kind} vectors; it gives: {', '.join(spec.outputs)}")


def _origin(spec: ModelSpec, dim: int) -> Origin:
    """Of vectors that it would make."""
    identity = Identity(
        model=spec.name, revision=spec.revision, space=spec.space, fingerprint="", dim=dim, max_tokens=spec.max_tokens
    )
    return Origin(identity=identity)
