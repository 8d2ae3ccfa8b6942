"""What deploy/ holds: each file by the tool that reads it, and all of them together."""
