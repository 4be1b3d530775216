"""Nodes are added one by one and become an ONNX model; weights stay where they are, and the graph only names them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

OPSET = 18  # the first in which every reduction takes its axes as an input; read by ONNX Runtime since 1.14
IR_VERSION = 8  # of the same release of ONNX, 1.13


@dataclass(frozen=True, slots=True)
class Value:
    """An edge of the graph that is being built."""

    graph: "GraphBuilder"
    name: str
    width: int = 0  # of the last axis, where it is known

    def __add__(self, other: "Value") -> "Value":
        return self.graph.add("Add", self, other, width=max(self.width, other.width))

    def __sub__(self, other: "Value") -> "Value":
        return self.graph.add("Sub", self, other, width=max(self.width, other.width))

    def __mul__(self, other: "Value") -> "Value":
        return self.graph.add("Mul", self, other, width=max(self.width, other.width))

    def __truediv__(self, other: "Value") -> "Value":
        return self.graph.add("Div", self, other, width=max(self.width, other.width))


class GraphBuilder:
    """Nodes in the order in which they were added, and what they read."""

    def __init__(self) -> None:
        self.weights: dict[str, NDArray[np.generic]] = {}
        self.inputs: dict[str, onnx.ValueInfoProto] = {}
        self._constants: dict[tuple[str, tuple[int, ...], bytes], onnx.TensorProto] = {}
        self._nodes: list[onnx.NodeProto] = []
        self._made = 0

    def add(
        self,
        kind: str,
        *given: Value | None,
        domain: str = "",
        width: int = 0,
        **attributes: int | float | Sequence[int],
    ) -> Value:
        """A node of one output; None stands for an optional input that is left out."""
        made = self._fresh(kind)
        names = [value.name if value else "" for value in given]
        self._nodes.append(helper.make_node(kind, names, [made], name=made, domain=domain, **attributes))
        return Value(self, made, width)

    def either(self, claim: Value, yes: Callable[[], Value], no: Callable[[], Value]) -> Value:
        """One of two, of which only the chosen one is computed; both may read what was added before."""
        made = self._fresh("If")
        branches = {"then_branch": self._branch(yes), "else_branch": self._branch(no)}
        self._nodes.append(helper.make_node("If", [claim.name], [made], name=made, **branches))
        return Value(self, made)

    def stacked(self, times: Value, make: Callable[[Value], Value]) -> Value:
        """(times, ...) what is made for each number from 0 on, one after the other; it may read what was added before.

        Args:
            times: a scalar, int64.
        """
        number, going, still, made = (self._fresh(kind) for kind in ("number", "going", "still", "Loop"))
        with self._apart() as nodes:
            one = make(Value(self, number))
            nodes.append(helper.make_node("Identity", [going], [still]))
        given = [helper.make_tensor_value_info(number, onnx.TensorProto.INT64, [])]
        given += [helper.make_tensor_value_info(going, onnx.TensorProto.BOOL, [])]
        gone_on = helper.make_tensor_value_info(still, onnx.TensorProto.BOOL, [])
        output = onnx.ValueInfoProto(name=one.name, type=helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, None))
        body = helper.make_graph(nodes, made, given, [gone_on, output])
        self._nodes.append(helper.make_node("Loop", [times.name, ""], [made], name=made, body=body))
        return Value(self, made)

    def constant(self, values: NDArray[np.generic]) -> Value:
        """A small tensor that lies in the graph itself."""
        key = (values.dtype.str, values.shape, values.tobytes())
        if key not in self._constants:
            self._constants[key] = numpy_helper.from_array(values, f"constant_{len(self._constants)}")
        return Value(self, self._constants[key].name)

    def length(self, constant: Value) -> int:
        """Of a constant's first axis."""
        return next(int(tensor.dims[0]) for tensor in self._constants.values() if tensor.name == constant.name)

    def weight(self, name: str, values: NDArray[np.generic]) -> Value:
        """A tensor that is handed over beside the graph."""
        self.weights[name] = values
        return Value(self, name, values.shape[-1] if values.ndim else 0)

    def input(self, name: str, kind: int, shape: Sequence[str | int]) -> Value:
        """Something that each run brings along."""
        self.inputs.setdefault(name, helper.make_tensor_value_info(name, kind, shape))
        return Value(self, name)

    def model(
        self, made: Mapping[str, Value], tensors: Sequence[onnx.TensorProto], shapes: Mapping[str, list[str | int]]
    ) -> onnx.ModelProto:
        """The whole graph.

        Args:
            made: outputs by name, first things first.
            tensors: the weights, or what stands for them.
            shapes: of the outputs, where they are known.
        """
        for name, value in made.items():
            self._nodes.append(helper.make_node("Identity", [value.name], [name]))
        given = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shapes.get(name)) for name in made]
        constants = [*self._constants.values(), *tensors]
        graph = helper.make_graph(self._nodes, "embedstack", list(self.inputs.values()), given, constants)
        domains = {node.domain for nodes in _levels(graph) for node in nodes} - {""}
        opsets = [helper.make_opsetid("", OPSET), *(helper.make_opsetid(domain, 1) for domain in sorted(domains))]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="embedstack")

    def _fresh(self, kind: str) -> str:
        self._made += 1
        return f"{kind}_{self._made}"

    def _branch(self, make: Callable[[], Value]) -> onnx.GraphProto:
        with self._apart() as nodes:
            made = make()
        output = onnx.ValueInfoProto(name=made.name, type=helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, None))
        return helper.make_graph(nodes, made.name, [], [output])

    @contextmanager
    def _apart(self) -> Iterator[list[onnx.NodeProto]]:
        outer, self._nodes = self._nodes, []
        try:
            yield self._nodes
        finally:
            self._nodes = outer


def _levels(graph: onnx.GraphProto) -> Iterator[list[onnx.NodeProto]]:
    """The nodes of a graph, and of the graphs inside it."""
    yield list(graph.node)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _levels(attribute.g)


def external(name: str, values: NDArray[np.generic], location: str, offset: int) -> onnx.TensorProto:
    """What stands for a tensor whose numbers lie elsewhere.

    Args:
        location: a file beside the graph's.
        offset: bytes from that file's beginning.
    """
    tensor = onnx.TensorProto(
        name=name,
        dims=values.shape,
        data_type=helper.np_dtype_to_tensor_dtype(values.dtype),
        data_location=onnx.TensorProto.EXTERNAL,
    )
    for key, value in (("location", location), ("offset", offset), ("length", values.nbytes)):
        tensor.external_data.add(key=key, value=str(value))
    return tensor
