"""What a guest may see and do: one table each for CPUID, MSRs, ports and control registers; what no table allows is refused."""
