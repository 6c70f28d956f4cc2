"""Where readings and results are kept: the journal, the store protocol, its embedded home."""
