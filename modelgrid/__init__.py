"""ModelGrid compiles one reviewed file into systemd units, podman quadlets and a routing manifest."""

__version__ = "0.1.0"
