"""Tasks on which a language model trains: rows of text, packed or whole windows, their loss, and their scores."""
