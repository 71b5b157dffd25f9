"""Real machines for tests: Debian root file systems, booted with systemd as PID 1 by systemd-nspawn."""
