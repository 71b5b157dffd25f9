"""Trees and records on the disk of a host, whole at every moment."""
