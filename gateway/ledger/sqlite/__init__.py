"""The ledger in one SQLite file: for one process that sells, and a command line beside it."""
