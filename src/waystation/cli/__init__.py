"""The command line. Modules here import heavy packages inside functions: `waystation --help` must answer at once."""
