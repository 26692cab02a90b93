"""The nouns of inspection and the ports to the outside world: standard library and numpy only."""
