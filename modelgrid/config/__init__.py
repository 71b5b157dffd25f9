"""The file ``modelgrid.yaml``: its text, its schema, its rules."""
