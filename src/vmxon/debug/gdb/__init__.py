"""gdb's remote serial protocol: packets, the target's description, a session, a server."""
