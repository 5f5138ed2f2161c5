"""Where sessions are kept: one Protocol, several implementations, one conformance suite."""
