"""The x87 FPU: its register stack, its status, and what its instructions do (Vol. 1 ch. 8 “Programming with the x87 FPU”)."""
