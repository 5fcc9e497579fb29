"""Tasks of made-up text, which need no download."""
