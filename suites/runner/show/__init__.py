"""What `sparsebench show` says of methods, tasks, backbones, data sources and suites."""
