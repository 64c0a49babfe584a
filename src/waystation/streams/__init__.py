"""Events: one log per thread, live through the bus, replayed from the database."""
