"""Scaffold: the plugin project that `polyrelay providers new` writes."""
