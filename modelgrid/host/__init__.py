"""The host: its facts, and how they are read."""
