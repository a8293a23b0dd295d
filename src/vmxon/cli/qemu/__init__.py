"""`vmxon-system-x86_64`: the machine behind QEMU's command line."""
