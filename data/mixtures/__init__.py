"""Data mixtures whose weights move while they are drawn from.

```python
from sparsebench.data.mixtures import MixtureStream, Signal, strategy

mixing = strategy("gate_load", ["code", "math", "chat"])
stream = MixtureStream(rows, mixing.weights, batch_size=8, collate=list, seed=0)
...  # every 100 steps: counts of chosen experts on held-out rows of each data set
stream.set_weights(mixing.update(Signal(loads=loads, steps=100)))
```
"""

from .draws import Draw, MixtureDraws
from .signal import Signal
from .strategies.base import Strategy, WeightedStrategy
from .strategies.named import STRATEGIES, strategy
from .stream import MixtureStream

__all__ = [
    "STRATEGIES",
    "Draw",
    "MixtureDraws",
    "MixtureStream",
    "Signal",
    "Strategy",
    "WeightedStrategy",
    "strategy",
]
