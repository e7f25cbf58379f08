"""A plugin whose import fails."""

raise ImportError("no module named 'its_sdk'")
