"""The engines that ModelGrid knows, as data that a configuration can change and add to."""
