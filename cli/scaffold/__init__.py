"""The plugin project that `polyrelay providers new` writes."""
