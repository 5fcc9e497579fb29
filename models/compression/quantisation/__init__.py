"""Weights of fewer bits in packed storage: rounding, GPTQ, AWQ; files of our own and in `compressed-tensors`."""

from .files.compressed_tensors import CompressedTensorsExport, export_compressed_tensors
from .files.part import packed_weights
from .grid import Grid
from .packed import packed_operators as packed_operators  # which register with packed weights, whoever makes these
from .packed.kernels.products import dense_products
from .packed.packed_tensor import PackedTensor
from .report import QuantisationReport, QuantisedWeight
from .rounding.awq import AWQConfig
from .rounding.gptq import GPTQConfig
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
