"""panelmux on the command line, one file a noun."""
