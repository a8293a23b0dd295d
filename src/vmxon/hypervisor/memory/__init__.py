"""A guest's memory: frames, the address space that EPT gives it, and the checker that it leads nowhere else."""
