"""Vendor simulator for development and tests: Volcengine visual, Ark and OpenAI, with latencies and faults."""
