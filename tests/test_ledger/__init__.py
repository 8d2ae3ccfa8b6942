"""One contract, run over every ledger."""
