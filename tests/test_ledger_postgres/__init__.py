"""What only a ledger in PostgreSQL does."""
