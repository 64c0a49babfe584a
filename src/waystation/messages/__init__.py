"""LangChain messages as JSON, as far as other protocols show them: what they say, and how they arrive."""
