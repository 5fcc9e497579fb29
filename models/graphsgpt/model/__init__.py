"""The network: encoder, decoder, heads, losses."""
