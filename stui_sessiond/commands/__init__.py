"""What a request does: one file per family of commands, and the one gate all of them pass (`dispatch`)."""
