"""Telling the world over MQTT: topics, payload schemas, the outbox and the client that drains it, commands from outside."""
