"""A model becomes compiled graphs, and a batch runs through those that it asks for; how they are compiled is given."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Protocol, TypeAlias, TypeVar

from embedstack.errors import ConfigError, RuntimeFailed
from embedstack.models import encoder, family, outputs
from embedstack.models.heads import finish
from embedstack.models.ops import Ops, Tensor
from embedstack.models.weights import Weights
from embedstack.modelspec import ModelSpec, Output
from embedstack.runtimes.failures import closed, require_known
from embedstack.runtimes.layout import Inputs, lay_out, patches_of
from embedstack.types import DENSE, STATES, Batch, Floats, Vectors

TRUNK = "hidden"  # what the trunk gives and every head reads
IMAGE = "image"  # the graph of the second tower
LATE = "states"  # the graph of all tokens, where there is no trunk that gives the same

X = TypeVar("X", bound=Tensor)


class GraphOps(Ops[X]):
    """Operations that add nodes to a graph, whose inputs are what `lay_out` makes of a batch."""

    def __init__(self, weights: Weights) -> None:
        super().__init__(weights)
        self.pad: int | None = None  # the id that `positions` does not count
        self.window = 0  # that the batch is laid out for, see `blocks.near`

    def takes_blocks(self, window: int, *, is_plain: bool) -> bool:
        """Whether attention reads the blocks of `lay_out`, which are for one window.

        Args:
            is_plain: neither causal nor biased, and every token asks.
        """
        if not window or not is_plain or self.window not in (0, window):
            return False
        self.window = window
        return True

    @abstractmethod
    def hidden(self, width: int) -> X:
        """(tokens, width) as an input, for a head that is a graph of its own."""


class Make(Protocol):
    """Adds the nodes of one graph, and gives its outputs by name."""

    def __call__(self, ops: GraphOps[X]) -> Mapping[str, X]: ...


class Graph(Protocol):
    """Compiled, and ready for as many calls at once as the runtime has lanes."""

    pad: int | None
    window: int
    """See GraphOps."""

    def run(self, inputs: Inputs) -> Mapping[str, Floats]:
        """The outputs by name."""
        ...


Compile: TypeAlias = Callable[[Make], Graph]


class GraphRuntime:
    """What the runtimes share that compile graphs.

    A model of one output is one graph. A model of several is a trunk and a small graph for each head, so that a head
    that nobody asked for is not computed and the trunk's weights are in memory once. Pictures have a graph of their
    own. So have the states of all tokens, in a model without a trunk: it is compiled when `ready` asks for it first,
    and holds the products' weights once more, see docs/late-chunking.md.
    """

    def __init__(self, spec: ModelSpec, weights: Weights, compiled: Compile) -> None:
        self._spec, self._compiled, self._changing = spec, compiled, Lock()
        self._graphs: Mapping[str, Graph] = _build(spec, compiled)
        self._pad = next((graph.pad for graph in self._graphs.values() if graph.pad is not None), None)
        self._window = max(graph.window for graph in self._graphs.values())
        weights.refuse_leftovers(family(spec).unread)

    def ready(self, outputs: frozenset[Output]) -> None:
        """See Runtime."""
        if outputs != STATES:
            return
        with self._changing:
            graphs = self._graphs
            if not graphs:
                raise closed()
            if TRUNK in graphs or LATE in graphs:
                return
            try:
                self._graphs = {**graphs, LATE: self._compiled(_trunk(self._spec))}
            except (ConfigError, MemoryError) as error:
                raise RuntimeFailed(
                    f"the second graph of {self._spec.name!r}, for the states of tokens, could not be made: {error}"
                ) from error

    def run(self, batch: Batch, wanted: frozenset[Output]) -> Vectors:
        """See Runtime."""
        graphs = self._graphs  # a run that has begun ends, also while the model is closed
        if not graphs:
            raise closed()
        require_known(batch, self._spec)
        if batch.patches is not None:
            return _seen(graphs, batch, self._spec, wanted)
        inputs = lay_out(batch, self._pad, self._window)
        if wanted == STATES:
            return {"states": self._states(graphs, inputs)}
        if TRUNK in graphs:
            inputs = {**inputs, **graphs[TRUNK].run(inputs)}
        return {name: graphs[name].run(inputs)[name] for name in sorted(wanted)}

    def _states(self, graphs: Mapping[str, Graph], inputs: Inputs) -> Floats:
        """(tokens, hidden) of the last layer."""
        if not (TRUNK in graphs or LATE in graphs):  # nobody asked for them to be ready
            self.ready(STATES)
            graphs = self._graphs or graphs
        if not (graph := graphs.get(TRUNK) or graphs.get(LATE)):
            raise closed()
        return graph.run(inputs)[TRUNK]

    def close(self) -> None:
        """See Runtime."""
        with self._changing:
            self._graphs = {}


def _seen(graphs: Mapping[str, Graph], batch: Batch, spec: ModelSpec, wanted: frozenset[Output]) -> Vectors:
    """Of pictures."""
    vision = spec.architecture.vision
    if vision is None or wanted != DENSE:
        raise RuntimeFailed(f"{spec.name!r} gives no {', '.join(sorted(wanted))} output of images")
    patches_of(batch, vision.patch_width)
    return {"dense": graphs[IMAGE].run(lay_out(batch))[IMAGE]}


def _build(spec: ModelSpec, compiled: Compile) -> dict[str, Graph]:
    image = {IMAGE: compiled(_image(spec))} if "image" in spec.inputs else {}
    if len(spec.outputs) == 1:
        return {spec.outputs[0]: compiled(_whole(spec)), **image}
    return {TRUNK: compiled(_trunk(spec)), **{name: compiled(_head(spec, name)) for name in spec.outputs}, **image}


def _image(spec: ModelSpec) -> Make:
    def make(ops: GraphOps[X]) -> Mapping[str, X]:
        return {IMAGE: outputs(ops, spec, DENSE, image=True)["dense"]}

    return make


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
        hidden = ops.hidden(spec.architecture.hidden)
        return _named(finish(ops, spec, hidden, frozenset({name}), project=family(spec).dense))

    return make


def _named(made: Mapping[Output, X]) -> dict[str, X]:
    return {str(name): value for name, value in made.items()}
