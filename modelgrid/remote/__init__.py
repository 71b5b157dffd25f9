"""Another host, over the system's own ssh: one login, over which commands go there and what they print comes back."""
