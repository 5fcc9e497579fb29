"""Weights of fewer bits in packed storage: rounding, GPTQ, AWQ; files of our own and in `compressed-tensors`."""

from . import packed_operators as packed_operators  # which register with packed weights, whoever makes these
from .awq import AWQConfig
from .compressed_tensors import CompressedTensorsExport, export_compressed_tensors
from .gptq import GPTQConfig
from .grid import Grid
from .kernels.products import dense_products
from .packed_tensor import PackedTensor
from .part import packed_weights
from .report import QuantisationReport, QuantisedWeight
from .transform import QuantiseConfig, dequantise, quantise

__all__ = [
    "AWQConfig",
    "CompressedTensorsExport",
    "GPTQConfig",
    "Grid",
    "PackedTensor",
    "QuantisationReport",
    "QuantiseConfig",
    "QuantisedWeight",
    "dense_products",
    "dequantise",
    "export_compressed_tensors",
    "packed_weights",
    "quantise",
]
