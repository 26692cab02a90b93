"""The operator's web page, its API, health checks and metrics, served by the edge process itself."""
