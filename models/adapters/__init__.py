"""Small trainable modules on a frozen model, and their pruning at initialisation."""

from .attach import AdapterSet, attach
from .bottleneck import BottleneckConfig
from .conv import ConvConfig
from .lora import LoRAConfig
from .pruning import LargeSparse, sparsify

__all__ = ["AdapterSet", "BottleneckConfig", "ConvConfig", "LargeSparse", "LoRAConfig", "attach", "sparsify"]
