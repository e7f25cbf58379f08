"""The wire format that Ark and OpenAI share: chat completions and errors."""
