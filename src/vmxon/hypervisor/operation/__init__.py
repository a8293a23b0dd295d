"""VMX operation: entering it, the VMCS, and what of a guest the hypervisor switches by hand."""
