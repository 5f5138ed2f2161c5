"""The test bed: a clock to turn by hand, disks that fail on demand, and small peers that speak the protocol."""
