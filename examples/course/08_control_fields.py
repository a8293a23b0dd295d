"""Step 8. The control fields, and the capability MSRs that say which values they may have.

Bit n of the low half of a capability MSR: control n must be 1. Bit n of the high half: control n may be 1. So a control
vector is (wanted | low) & high (Vol. 3C §25.6 “VM-Execution Control Fields” to §25.8 “VM-Entry Control Fields”,
Vol. 3D App. A.2 “Reserved Controls and Default Settings”). A wrong bit makes VM entry fail with error 7.
"""

from stage import ended, in_one_line, small_guest, vmx_operation
from vmxon.arch.msr_vmx import AllowedSettings
from vmxon.hypervisor.operation.bring_up import value_of
from vmxon.machine.root import bare_processor
from vmxon.vmx.controls import DEFAULT1, Entry, PinBased, PrimaryExit, PrimaryProcessorBased, SecondaryProcessorBased
from vmxon.vmx.fields import VmcsField as Field

root, pages = vmx_operation()
small_guest(root, pages, "hlt")
PIN, PRIMARY = Field.PIN_BASED_VM_EXECUTION_CONTROLS, Field.PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS

print("what a processor of 2008 allows:")
older = bare_processor("8M", "nehalem")
for name, plain, true, vector in (
    ("pin-based", 0x481, 0x48D, PinBased),
    ("primary", 0x482, 0x48E, PrimaryProcessorBased),
    ("secondary", 0x48B, 0x48B, SecondaryProcessorBased),
    ("VM-exit", 0x483, 0x48F, PrimaryExit),
    ("VM-entry", 0x484, 0x490, Entry),
):
    allowed, exact = (AllowedSettings(value_of(older.rdmsr(number))) for number in (plain, true))
    print(
        f"{name:<9} must be 1: {allowed.must_be_one:#010x} (TRUE: {exact.must_be_one:#010x})"
        f"  may be 1: {exact.may_be_one:#010x}  default 1: {DEFAULT1.get(vector, 0):#010x}"
    )

print("HLT exiting alone, without the bits that must be 1:")
right = value_of(root.vmread(PRIMARY))
root.vmwrite(PRIMARY, PrimaryProcessorBased.hlt_exiting.mask)
print(" ", in_one_line(root.vmlaunch()))

print("“virtual NMIs” without “NMI exiting”: each is allowed, the pair is not:")
root.vmwrite(PRIMARY, right)
pins = value_of(root.vmread(PIN))
root.vmwrite(PIN, pins | PinBased.virtual_nmis.mask)
print(" ", in_one_line(root.vmlaunch()))
root.vmwrite(PIN, pins)

wanted = PrimaryProcessorBased.make(hlt_exiting=1)
allowed = AllowedSettings(value_of(root.rdmsr(0x48E)))
primary = (wanted | allowed.must_be_one) & allowed.may_be_one
root.vmwrite(PRIMARY, primary)
print(f"adjusted, {wanted:#x} becomes {primary:#x}:", ended(root.vmlaunch()))

ept = SecondaryProcessorBased.enable_ept.mask
for model in ("first", "nehalem", "max"):
    outcome = bare_processor("8M", model).rdmsr(0x48B)
    known = outcome.succeeded and value_of(outcome) >> 32 & ept
    print(f"model {model!r}: {outcome}; EPT {'may be enabled' if known else 'does not exist'}")
