"""A virtual-machine monitor in Python: it drives the machine with VMX instructions, as a hypervisor's author would."""
