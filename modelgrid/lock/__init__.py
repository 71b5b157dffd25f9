"""The lock file: what the names of a configuration meant on the day that somebody looked.

:mod:`~modelgrid.lock.values` and :mod:`~modelgrid.lock.text` are pure and quick to import; the rest asks registries,
the hub and the disk, and runs only for ``modelgrid lock``.
"""
