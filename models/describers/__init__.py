"""One file per family of backbones of other libraries.

Each has `SERVES`, a literal tuple of the full names of the classes that it is for, those derived from them included
(the nearest class wins), and `describe(model) -> Anatomy`. `describe` of `models.anatomy` finds it by itself.
"""
