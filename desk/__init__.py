"""The bureau's files: registry (trucks, sites, routes, permits), alerts and their notifications."""
