"""OpenAI's Responses API: its clients against any assistant that takes messages. A response is a run on a thread."""
