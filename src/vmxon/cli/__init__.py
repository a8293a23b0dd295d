"""The command line: one module for each command, none imported before its command is asked for."""
