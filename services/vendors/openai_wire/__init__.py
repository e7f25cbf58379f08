"""What Ark and OpenAI share: the chat-completions wire and the envelope of errors."""
