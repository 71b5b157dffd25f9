"""The gateway: an OpenAI-compatible ASGI application on Granian, which reads the manifest only."""
