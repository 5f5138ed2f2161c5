"""What does an editor have to know of Smalltalk's syntax? Pure; no dialect is parsed, so none is refused."""
