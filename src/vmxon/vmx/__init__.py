"""VMX: the VMCS, its controls and capabilities, VM entry and VM exit."""
