"""How requests are kept while servers change: what is decided, what stands in, what gateways are told."""
