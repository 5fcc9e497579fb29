"""Checkpoints in the layouts of the papers' own code, read into the modules of this package.

`from_official(source)` gives the model, `import_official(source, folder)` a folder that `sparsebench.models.load`
opens. Every tensor of a checkpoint is read or the import is refused.
"""

from .door import Imported, from_official, how_to_open, import_official
from .recognition import LAYOUTS

__all__ = ["LAYOUTS", "Imported", "from_official", "how_to_open", "import_official"]
