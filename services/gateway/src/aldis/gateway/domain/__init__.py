"""What the gateway decides without looking at a socket or a clock."""
