"""The page of one result folder."""
