"""The application: command line, settings, clock, and the one place where the parts are put together."""
