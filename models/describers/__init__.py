"""One file per family of backbones. Each file has `matches(model) -> bool` and `describe(model) -> Anatomy`."""
