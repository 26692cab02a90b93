"""Every request and answer of the HTTP API, by subject."""
