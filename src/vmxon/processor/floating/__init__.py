"""Floating point in integers: the same bits on every host (Vol. 1 §4.8 “Real Numbers and Floating-Point Formats”)."""
