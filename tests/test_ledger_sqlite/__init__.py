"""SQLite's own matters."""
