"""The kinds of address, kept apart by the type checker; all are plain integers of bytes at run time."""

from typing import NewType

Linear = NewType("Linear", int)
"""After segmentation, before paging (Vol. 3A §3.1 “Memory Management Overview”)."""

GuestPhysical = NewType("GuestPhysical", int)
"""After the guest's paging, before EPT (Vol. 3C §29.3 “The Extended Page Table Mechanism (EPT)”)."""

HostPhysical = NewType("HostPhysical", int)
"""What goes out on the bus of the machine."""

Port = NewType("Port", int)
"""A place in the 64-KiB I/O space (Vol. 1 §19.3 “I/O Address Space”)."""
