"""The FastAPI application, a module per resource, and the console page."""
