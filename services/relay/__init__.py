"""Relay: Volcengine's visual API as this server offers it to callers; their calls become tasks."""
