"""Looking into a running machine: breakpoints, gdb's remote protocol, the monitor."""
