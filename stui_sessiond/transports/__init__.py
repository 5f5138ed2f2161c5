"""Byte pipes: frames in, payloads out, and back. None of them knows another, or what a payload means."""
