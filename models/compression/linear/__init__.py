"""Linear maps of a model one by one, with what calibration says of their inputs."""
