"""The ledger in PostgreSQL: for many processes that sell, on one machine or many."""
