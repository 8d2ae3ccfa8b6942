"""What nodes share, and what becomes of it."""
