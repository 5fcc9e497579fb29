"""A package outside the tree that brings methods, a task and a backbone by entry point."""
