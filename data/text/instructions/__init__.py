"""Instruction data in seven groups: prompts with answers, which models are trained on and compared by.

```python
from sparsebench.data.text.instructions import GROUPS, exchanges

for exchange in exchanges("logic", "train"):
    exchange.messages  # (("system", "..."), ("user", "..."))
    exchange.answer
```

`sets.toml` says which data sets are in which group, and which are excluded and why.
"""

from .exchange import Exchange
from .groups import census, exchanges, sources_of
from .table import GROUPS

__all__ = ["GROUPS", "Exchange", "census", "exchanges", "sources_of"]
