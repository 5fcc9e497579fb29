"""A package outside the tree with methods of the kinds that need more than a transform, a teacher and a panel."""
