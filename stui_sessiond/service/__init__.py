"""How does the daemon live under a service manager, and how does one process hand over to the next?"""
