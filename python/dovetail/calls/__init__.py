"""When calls are made: in which order, how many at a time, how often again, and with whose approval."""
