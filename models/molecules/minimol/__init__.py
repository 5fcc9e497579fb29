"""MiniMol (Klaser et al., arXiv 2404.14986): a pre-trained graph network of 16 layers whose fingerprints are features.

```python
from torch_geometric.data import Batch

from sparsebench.data.sources import path
from sparsebench.models.molecules.minimol import load_minimol, minimol_graphs

network = load_minimol(path("minimol", "weights")).trunk
fingerprints = network(Batch.from_data_list(minimol_graphs(["CCO", "c1ccccc1O"])))  # (2, 512)
```
"""

from ...errors import optional

with optional():
    from .anatomy import describe_minimol
    from .checkpoint import load_minimol
    from .features import minimol_graphs
    from .folding import fold_norms
    from .heads import PretrainedMiniMol
    from .network import MiniMol, MiniMolConfig

__all__ = [
    "MiniMol",
    "MiniMolConfig",
    "PretrainedMiniMol",
    "describe_minimol",
    "fold_norms",
    "load_minimol",
    "minimol_graphs",
]
