"""Workloads that are timed side by side on vmxon, Debian's Bochs and QEMU: `python -m benchmarks`."""
