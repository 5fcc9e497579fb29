"""Parts of the report page that belong to one kind of result."""
