"""Changed models of transformers as models of transformers: their classes, their configuration, what registers them.

A room that changes models of transformers in place (`moe`) says what its layers are by `parts.register_part` and calls
`declaration.declare` on what it has changed. The model is then of a class of its own, made from the one it had, whose
configuration holds what `save_pretrained` and `from_pretrained` need to bring the changes back. In files the type of
such models is `sparsebench`; a process in which nothing of `sparsebench.models` is imported refuses them, unless it
is told to trust the code in the folder, which imports that.
"""
