"""Facts of the architecture, no behaviour: words with named bits, MSRs, CPUID, exceptions, paging formats."""
