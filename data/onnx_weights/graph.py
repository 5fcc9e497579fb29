"""The weights of an ONNX file: constants by name, and by the node that uses them.

Layout: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto. An exporter folds a transpose into a matrix and gives
the result a name of its own; the node that multiplies with it keeps the name of the layer.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import WeightsError
from .protobuf import Value, fields, inner, numbers, text

_GRAPH = 7
_NODE, _CONSTANT = 1, 5
_NODE_INPUT, _NODE_NAME = 1, 3
_SHAPE, _TYPE, _TENSOR_NAME, _RAW = 1, 2, 8, 9
_FLOAT = 1


@dataclass(frozen=True)
class Graph:
    """Constants by name, and of each named node the names of its inputs."""

    file: str
    tensors: dict[str, np.ndarray]
    nodes: dict[str, tuple[str, ...]]

    def tensor(self, name: str) -> np.ndarray:
        """The constant of this name. Raises `WeightsError` where there is none."""
        if name not in self.tensors:
            raise WeightsError(f"{self.file}: tensor {name!r} is missing")
        return self.tensors[name]

    def operand(self, node: str) -> np.ndarray:
        """The one constant among the inputs of a node. Raises `WeightsError` for no such node, no constant, or two."""
        if node not in self.nodes:
            raise WeightsError(f"{self.file}: node {node!r} is missing")
        found = [name for name in self.nodes[node] if name in self.tensors]
        if len(found) != 1:
            raise WeightsError(f"{self.file}: node {node!r} has {len(found)} constants, not one: {found}")
        return self.tensors[found[0]]


def read_graph(file: Path) -> Graph:
    """Raises `WeightsError` for a file that is cut, is no ONNX, or has a constant that is not float32 in the file."""
    try:
        content = memoryview(file.read_bytes())
        return _graph(file.name, content)
    except WeightsError as error:
        raise WeightsError(f"{file.name} cannot be read as ONNX: {error}") from error


def _graph(name: str, content: memoryview) -> Graph:
    graphs = [inner(value) for number, value in fields(content) if number == _GRAPH]
    if len(graphs) != 1:
        raise WeightsError(f"{len(graphs)} graphs, not one")
    found = Graph(name, {}, {})
    for number, value in fields(graphs[0]):
        if number == _CONSTANT:
            key, tensor = _tensor(inner(value))
            _once(found.tensors, key)
            found.tensors[key] = tensor
        elif number == _NODE:
            node, inputs = _node(inner(value))
            if node:
                _once(found.nodes, node)
                found.nodes[node] = inputs
    return found


def _once(known: dict, name: str) -> None:
    if name in known:
        raise WeightsError(f"{name!r} comes twice")


def _node(message: memoryview) -> tuple[str, tuple[str, ...]]:
    name = ""
    inputs: list[str] = []
    for number, value in fields(message):
        if number == _NODE_NAME:
            name = text(value)
        elif number == _NODE_INPUT:
            inputs.append(text(value))
    return name, tuple(inputs)


def _tensor(message: memoryview) -> tuple[str, np.ndarray]:
    found = list(fields(message))
    name = next((text(value) for number, value in found if number == _TENSOR_NAME), "")
    kind = _last(found, _TYPE)
    if kind != _FLOAT:
        raise WeightsError(f"tensor {name!r} has the type {kind}, not float32 ({_FLOAT})")
    raw = _last(found, _RAW)
    shape = tuple(_shape(found))
    size = 4 * math.prod(shape)
    if not isinstance(raw, memoryview) or len(raw) != size:
        raise WeightsError(f"tensor {name!r} of shape {shape} does not hold its {size} bytes in the file")
    return name, np.frombuffer(raw, "<f4").reshape(shape)


def _shape(found: list[tuple[int, Value]]) -> Iterator[int]:
    for number, value in found:
        if number == _SHAPE:
            yield from numbers(value)


def _last(found: list[tuple[int, Value]], wanted: int) -> Value | None:
    """The value of a field that stands once; of several the last counts."""
    value = None
    for number, given in found:
        if number == wanted:
            value = given
    return value
