"""Definitions of ours, of a feature repository of Feast: its Python files are read, and never run."""
