"""Computing over history: the port, plans as SQL text, and one adapter a file."""
