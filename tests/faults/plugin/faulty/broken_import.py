"""A method whose module cannot be imported."""

raise ImportError("a library [of nobody] is missing")
