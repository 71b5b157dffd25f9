"""Power cuts of a virtual machine: see scripts/powercut."""
