"""Proofs that connections which break in every way lose nothing, do nothing twice and leave nothing behind."""
