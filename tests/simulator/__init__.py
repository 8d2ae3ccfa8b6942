"""Days of trouble in virtual time: the real gateway, sandbox panels in process, seeded faults, and an oracle."""
