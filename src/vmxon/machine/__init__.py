"""The one place that wires a PC together: processor, memory, devices, loaders."""
