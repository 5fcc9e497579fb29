"""What `report` and `compare` say of result folders, and the document of a repository."""
