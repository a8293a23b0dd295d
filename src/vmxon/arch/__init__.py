"""Facts of the architecture, no behaviour: words with named bits, registers, MSRs, CPUID, exceptions, paging formats."""
