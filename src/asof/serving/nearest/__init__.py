"""The nearest vectors among the newest values of a group; `docs/embeddings.md`, decision 26."""
