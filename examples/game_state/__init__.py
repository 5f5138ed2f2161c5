"""A game for two phones and a board, on one shared state."""
