"""Volcengine's visual API as this server speaks it to callers, whose calls become tasks."""
