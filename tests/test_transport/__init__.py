"""The transport against panels that misbehave: what did not leave, what may have been done, what is kept of it."""
