"""Runs: their state machine, their queue, their execution, and the routes that create and watch them."""
