"""History: the port, and one adapter a file."""
