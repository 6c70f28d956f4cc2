"""Figures beside a peer's in the same run; see README.md. Nothing here is a test: the figures are read by people."""
