"""The daemon's own words for what it keeps: free to change, never on the wire or on disk as they are."""
