"""ModelGrid's tests."""
