"""The sans-IO protocol core: bytes in, typed messages out, and back.

Must never import asyncio, sockets, clocks, logs or files; time is an argument.
"""
