"""One file per verb of the command line: what it does; ``cli.py`` only parses."""
