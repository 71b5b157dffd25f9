"""Makes a host run a compiled tree: plan, preflight, generations, jobs of systemd. Knows nothing of the config."""
