"""The newest values: the port, and one adapter a file."""
