"""Proofs that the daemon may run for weeks: clients come and go for an hour, and nothing grows."""
