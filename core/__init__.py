"""The numeric domain core: arrays in, arrays and frozen dataclasses out. No I/O, no clock, no logging."""
