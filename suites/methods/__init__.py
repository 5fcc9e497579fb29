"""One file for each benchmarked method, in rooms by family; the file name is its public name.

A file whose name begins with an underscore is no method: it holds what those of its room have in common.
"""
