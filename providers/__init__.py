"""What panelmux says to panels; it knows nothing of the gateway."""
