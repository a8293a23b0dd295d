"""What things mean: exit reasons, errors, fields, controls, MSRs and registers, found by name or number."""
