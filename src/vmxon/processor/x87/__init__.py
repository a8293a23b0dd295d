"""The x87 FPU: its register stack, status, and operations (Vol. 1 ch. 8 “Programming with the x87 FPU”)."""
