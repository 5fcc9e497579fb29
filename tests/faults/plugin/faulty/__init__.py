"""A package of somebody else that does all that a run must survive."""
