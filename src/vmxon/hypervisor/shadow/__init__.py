"""Shadow paging: guest memory without EPT, by page tables that the hypervisor derives from the guest's own."""
