"""Tests of the panel that misbehaves."""
