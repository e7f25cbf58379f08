"""An upstream for development and tests: Volcengine visual, Ark and OpenAI, with latency and faults on demand."""
