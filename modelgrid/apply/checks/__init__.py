"""What a host and a tree must be before anything is written: refusals, each with its way out."""
