"""What the papers print: figures with their sources (CSV), and which table of which paper they are of (index.yaml)."""
