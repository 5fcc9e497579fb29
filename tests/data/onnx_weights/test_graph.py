"""Constants and nodes of ONNX files."""

from pathlib import Path

import numpy as np
import pytest

from sparsebench.data.errors import WeightsError
from sparsebench.data.onnx_weights import read_graph

from .onnx_file import field, graph_file, node, tensor, write

MATRIX = np.arange(6, dtype=np.float32).reshape(2, 3)


def test_constants_by_name_and_by_node(tmp_path: Path) -> None:
    file = graph_file(
        tmp_path / "made.onnx",
        {"layer.bias": MATRIX[0], "onnx::MatMul_7": MATRIX},
        {"/layer/MatMul": ("x", "onnx::MatMul_7"), "/both": ("onnx::MatMul_7", "layer.bias"), "/none": ("x",)},
    )
    graph = read_graph(file)
    assert np.array_equal(graph.tensor("layer.bias"), MATRIX[0])
    assert np.array_equal(graph.operand("/layer/MatMul"), MATRIX)
    with pytest.raises(WeightsError, match=r"made\.onnx: tensor 'layer\.weight' is missing"):
        graph.tensor("layer.weight")
    with pytest.raises(WeightsError, match="node '/other' is missing"):
        graph.operand("/other")
    with pytest.raises(WeightsError, match="'/both' has 2 constants, not one"):
        graph.operand("/both")
    with pytest.raises(WeightsError, match="'/none' has 0 constants, not one"):
        graph.operand("/none")


def test_a_packed_shape_and_a_number_without_axes(tmp_path: Path) -> None:
    packed = field(5, field(1, b"\x02\x03") + field(2, 1) + field(8, b"a") + field(9, MATRIX.tobytes()))
    graph = read_graph(
        write(tmp_path / "made.onnx", [packed, tensor("b", np.array(4.0)), node("", "a"), node("", "b")])
    )
    assert np.array_equal(graph.tensor("a"), MATRIX) and graph.tensor("b").shape == ()
    assert graph.nodes == {}, "nodes without a name are not found by name"


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        ([tensor("a", MATRIX, kind=10)], r"tensor 'a' has the type 10, not float32 \(1\)"),
        ([tensor("a", MATRIX, raw=b"1234")], r"'a' of shape \(2, 3\) does not hold its 24 bytes"),
        ([field(5, field(1, 2) + field(2, 1) + field(8, b"a"))], r"'a' of shape \(2,\) does not hold its 8 bytes"),
        ([tensor("a", MATRIX)] * 2, "'a' comes twice"),
        ([node("n", "x")] * 2, "'n' comes twice"),
        ([field(5, b"\x0a")], "cut or damaged"),
    ],
)
def test_what_is_refused(tmp_path: Path, parts: list[bytes], problem: str) -> None:
    with pytest.raises(WeightsError, match=rf"made\.onnx cannot be read as ONNX: .*{problem}"):
        read_graph(write(tmp_path / "made.onnx", parts))


@pytest.mark.parametrize(("content", "problem"), [(b"", "0 graphs"), (field(7, b"") * 2, "2 graphs"), (b"PK\3\4", "")])
def test_files_that_are_none(tmp_path: Path, content: bytes, problem: str) -> None:
    file = tmp_path / "made.onnx"
    file.write_bytes(content)
    with pytest.raises(WeightsError, match=rf"made\.onnx cannot be read as ONNX: {problem}"):
        read_graph(file)
