"""Expert Trimming (He et al., arXiv 2406.02500): parts that a model can do without leave it.

`similarity` measures how little a layer, an attention or a block changes what it gets, `choice` picks, and
`layer_drop`, `attention_drop` and `block_drop` take out what was picked. `exhaustive` tries all sets instead.
"""

from .attention_drop import drop_attentions, droppable_attentions
from .block_drop import choose_window, drop_blocks, droppable_blocks
from .choice import choose
from .dropped import Dropped
from .exhaustive import all_sets, best_set
from .layer_drop import drop_layers, droppable_layers
from .similarity import attention_similarity, block_similarity, layer_similarity

__all__ = [
    "Dropped",
    "all_sets",
    "attention_similarity",
    "best_set",
    "block_similarity",
    "choose",
    "choose_window",
    "drop_attentions",
    "drop_blocks",
    "drop_layers",
    "droppable_attentions",
    "droppable_blocks",
    "droppable_layers",
    "layer_similarity",
]
