"""The ledger's transactions, in SQL that SQLite and PostgreSQL both understand."""
