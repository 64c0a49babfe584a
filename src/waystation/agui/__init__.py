"""AG-UI: front ends such as CopilotKit against any assistant. A run of the protocol is a run on a thread."""
