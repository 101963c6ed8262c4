"""Training sets: saved, versioned, and made again from history."""
