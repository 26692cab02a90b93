"""What the HTTP API can do, one file per page of the console."""
