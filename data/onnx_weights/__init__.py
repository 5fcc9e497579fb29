"""Weights out of ONNX files, by name and by node; the graph is never run."""

from . import dinov2
from .graph import Graph, read_graph

__all__ = ["Graph", "dinov2", "read_graph"]
