"""What went wrong, where, and what helps? `problem` decides, pure; `screen` and `filing` show it and keep it."""
