"""What is wrong with a line of the monitor's language."""


class Complaint(Exception):
    """One line to the person who wrote it; nothing was done."""
