"""Cells on the nodes of a Ray cluster.

`executor` decides and writes the records, `gateway` is the process that talks to Ray, `agent` runs cells on a node,
`messages` is what they say to each other.
"""
