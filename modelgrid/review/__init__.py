"""What a change of the configuration means: one compiled tree against another, with no host. Pure.

:mod:`compare` finds it, :mod:`text`, :mod:`markdown` and :mod:`data` write it.
"""
