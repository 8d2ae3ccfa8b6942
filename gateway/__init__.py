"""What panelmux promises to customers and operators."""
