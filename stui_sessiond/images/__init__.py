"""Live images: who is there, which one is meant, and how to ask it something."""
