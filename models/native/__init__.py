"""C++ code of ours: how it is built at first use, and what its sources share (`vectors.h`)."""
