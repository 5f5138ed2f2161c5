"""Proofs that the storage keeps its promises when the power fails, the disk says no, or a file is damaged."""
