"""Text by domain, the windows of tokens that it is cut into, and the language evaluation sets."""
