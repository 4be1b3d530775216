"""A model becomes compiled graphs, and a batch runs through those that it asks for; how they are compiled is given."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias, TypeVar

from embedstack.models import encoder, family, outputs
from embedstack.models.heads import finish
from embedstack.models.ops import Ops, Tensor
from embedstack.models.weights import Weights
from embedstack.runtimes.failures import closed, require_known
from embedstack.runtimes.layout import Inputs, lay_out
from embedstack.types import Batch, Floats, ModelSpec, Output, Vectors

TRUNK = "hidden"  # what the trunk gives and every head reads

X = TypeVar("X", bound=Tensor)


class GraphOps(Ops[X]):
    """Operations that add nodes to a graph, whose inputs are what `lay_out` makes of a batch."""

    def __init__(self, weights: Weights) -> None:
        super().__init__(weights)
        self.pad: int | None = None  # the id that `positions` does not count

    @abstractmethod
    def hidden(self, width: int) -> X:
        """(tokens, width) as an input, for a head that is a graph of its own."""


class Make(Protocol):
    """Adds the nodes of one graph, and gives its outputs by name."""

    def __call__(self, ops: GraphOps[X]) -> Mapping[str, X]: ...


class Graph(Protocol):
    """Compiled, and ready for as many calls at once as the runtime has lanes."""

    pad: int | None
    """See GraphOps."""

    def run(self, inputs: Inputs) -> Mapping[str, Floats]:
        """The outputs by name."""
        ...


Compile: TypeAlias = Callable[[Make], Graph]


class GraphRuntime:
    """What the runtimes share that compile graphs.

    A model of one output is one graph. A model of several is a trunk and a small graph for each head, so that a head
    that nobody asked for is not computed and the trunk's weights are in memory once.
    """

    def __init__(self, spec: ModelSpec, weights: Weights, compiled: Compile) -> None:
        self._spec = spec
        self._graphs: Mapping[str, Graph] = _build(spec, compiled)
        self._pad = next(iter(self._graphs.values())).pad
        weights.refuse_leftovers(family(spec).unread)

    def run(self, batch: Batch, wanted: frozenset[Output]) -> Vectors:
        """See Runtime."""
        graphs = self._graphs  # a run that has begun ends, also while the model is closed
        if not graphs:
            raise closed()
        require_known(batch, self._spec)
        inputs = lay_out(batch, self._pad)
        if TRUNK in graphs:
            inputs = {**inputs, **graphs[TRUNK].run(inputs)}
        return {name: graphs[name].run(inputs)[name] for name in sorted(wanted)}

    def close(self) -> None:
        """See Runtime."""
        self._graphs = {}


def _build(spec: ModelSpec, compiled: Compile) -> dict[str, Graph]:
    if len(spec.outputs) == 1:
        return {spec.outputs[0]: compiled(_whole(spec))}
    return {TRUNK: compiled(_trunk(spec)), **{name: compiled(_head(spec, name)) for name in spec.outputs}}


def _whole(spec: ModelSpec) -> Make:
    def make(ops: GraphOps[X]) -> Mapping[str, X]:
        return _named(outputs(ops, spec, frozenset(spec.outputs)))

    return make


def _trunk(spec: ModelSpec) -> Make:
    def make(ops: GraphOps[X]) -> Mapping[str, X]:
        return {TRUNK: encoder(ops, spec)}

    return make


def _head(spec: ModelSpec, name: Output) -> Make:
    def make(ops: GraphOps[X]) -> Mapping[str, X]:
        return _named(finish(ops, spec, ops.hidden(spec.architecture.hidden), frozenset({name})))

    return make


def _named(made: Mapping[Output, X]) -> dict[str, X]:
    return {str(name): value for name, value in made.items()}
