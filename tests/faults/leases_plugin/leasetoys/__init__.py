"""A package whose cells say in a log of their own that they came to their end."""
