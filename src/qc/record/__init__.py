"""Durable memory of the edge: SQLite records and outbox, the image archive, retention."""
