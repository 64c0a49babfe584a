"""What all routes share: bodies, responses, errors, OpenAPI."""
