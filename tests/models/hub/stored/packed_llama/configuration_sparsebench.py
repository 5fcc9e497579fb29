"""Opens this folder with the package that has the code of its model: pip install sparsebench"""

from transformers import AutoConfig, PreTrainedConfig

import sparsebench.models  # noqa: F401 - from then on transformers knows the model type "sparsebench"


class SparsebenchConfig(PreTrainedConfig):
    model_type = "sparsebench"

    @classmethod
    def from_pretrained(cls, name, **keywords):
        return AutoConfig.from_pretrained(name, **keywords)
