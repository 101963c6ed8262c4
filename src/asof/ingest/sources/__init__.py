"""Sources outside of the store: a port, and an adapter for each way in which rows are new."""
