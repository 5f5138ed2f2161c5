"""What can be seen of a daemon from outside: metrics, and traces where they are wanted."""
