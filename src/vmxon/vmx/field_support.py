"""Which VMCS fields a processor has (the notes under the tables of Vol. 3D App. B “Field Encoding in VMCS”).

VMREAD and VMWRITE of a field that it lacks fail with error 12.
"""

from __future__ import annotations

from vmxon.arch.cpuid import VmxModel
from vmxon.vmx.fields import VmcsField as Field

SPEC_CTRL = ("entry.load_spec_ctrl", "secondary_exit.load_spec_ctrl")

NEEDS: dict[Field, tuple[str, ...]] = {
    Field.VPID: ("secondary.enable_vpid",),
    Field.POSTED_INTERRUPT_NOTIFICATION_VECTOR: ("pin.posted_interrupts",),
    Field.EPTP_INDEX: ("secondary.ept_violation_ve",),
    Field.HLAT_PREFIX_SIZE: ("tertiary.enable_hlat",),
    Field.LAST_PID_POINTER_INDEX: ("tertiary.ipi_virtualization",),
    Field.VIRTUAL_TIMER_VECTOR: ("tertiary.apic_timer_virtualization",),
    Field.GUEST_INTERRUPT_STATUS: ("secondary.virtual_interrupt_delivery",),
    Field.GUEST_PML_INDEX: ("secondary.enable_pml",),
    Field.GUEST_UINV: ("exit.clear_uinv", "entry.load_uinv"),
    Field.MSR_BITMAP_ADDRESS: ("primary.use_msr_bitmaps",),
    Field.PML_ADDRESS: ("secondary.enable_pml",),
    Field.VIRTUAL_APIC_ADDRESS: ("primary.use_tpr_shadow",),
    Field.APIC_ACCESS_ADDRESS: ("secondary.virtualize_apic_accesses",),
    Field.POSTED_INTERRUPT_DESCRIPTOR_ADDRESS: ("pin.posted_interrupts",),
    Field.VM_FUNCTION_CONTROLS: ("secondary.enable_vm_functions",),
    Field.EPTP: ("secondary.enable_ept",),
    Field.EOI_EXIT_BITMAP_0: ("secondary.virtual_interrupt_delivery",),
    Field.EOI_EXIT_BITMAP_1: ("secondary.virtual_interrupt_delivery",),
    Field.EOI_EXIT_BITMAP_2: ("secondary.virtual_interrupt_delivery",),
    Field.EOI_EXIT_BITMAP_3: ("secondary.virtual_interrupt_delivery",),
    Field.EPTP_LIST_ADDRESS: ("vm_functions.eptp_switching",),
    Field.VMREAD_BITMAP_ADDRESS: ("secondary.vmcs_shadowing",),
    Field.VMWRITE_BITMAP_ADDRESS: ("secondary.vmcs_shadowing",),
    Field.VIRTUALIZATION_EXCEPTION_INFORMATION_ADDRESS: ("secondary.ept_violation_ve",),
    Field.XSS_EXITING_BITMAP: ("secondary.enable_xsaves",),
    Field.ENCLS_EXITING_BITMAP: ("secondary.enable_encls_exiting",),
    Field.SPPTP: ("secondary.sub_page_write_permissions",),
    Field.TSC_MULTIPLIER: ("secondary.use_tsc_scaling",),
    Field.TERTIARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS: ("primary.activate_tertiary",),
    Field.ENCLV_EXITING_BITMAP: ("secondary.enable_enclv_exiting",),
    Field.LOW_PASID_DIRECTORY_ADDRESS: ("secondary.pasid_translation",),
    Field.HIGH_PASID_DIRECTORY_ADDRESS: ("secondary.pasid_translation",),
    Field.SHARED_EPTP: ("tertiary.seam_guest_physical_width",),
    Field.PCONFIG_EXITING_BITMAP: ("secondary.enable_pconfig",),
    Field.HLATP: ("tertiary.enable_hlat",),
    Field.PID_POINTER_TABLE_ADDRESS: ("tertiary.ipi_virtualization",),
    Field.SECONDARY_VM_EXIT_CONTROLS: ("exit.activate_secondary",),
    Field.IA32_SPEC_CTRL_MASK: ("tertiary.virtualize_spec_ctrl",),
    Field.IA32_SPEC_CTRL_SHADOW: ("tertiary.virtualize_spec_ctrl",),
    Field.GUEST_DEADLINE_SHADOW: ("tertiary.apic_timer_virtualization",),
    Field.INJECTED_EVENT_DATA: ("entry.load_fred",),
    Field.GUEST_PHYSICAL_ADDRESS: ("secondary.enable_ept",),
    Field.MSR_DATA: ("tertiary.enable_msr_list",),
    Field.ORIGINAL_EVENT_DATA: ("entry.load_fred",),
    Field.GUEST_IA32_PAT: ("entry.load_pat", "exit.save_pat"),
    Field.GUEST_IA32_EFER: ("entry.load_efer", "exit.save_efer"),
    Field.GUEST_IA32_PERF_GLOBAL_CTRL: ("entry.load_perf_global_ctrl",),
    Field.GUEST_PDPTE0: ("secondary.enable_ept",),
    Field.GUEST_PDPTE1: ("secondary.enable_ept",),
    Field.GUEST_PDPTE2: ("secondary.enable_ept",),
    Field.GUEST_PDPTE3: ("secondary.enable_ept",),
    Field.GUEST_IA32_BNDCFGS: ("entry.load_bndcfgs", "exit.clear_bndcfgs"),
    Field.GUEST_IA32_RTIT_CTL: ("entry.load_rtit_ctl", "exit.clear_rtit_ctl"),
    Field.GUEST_IA32_LBR_CTL: ("entry.load_lbr_ctl", "exit.clear_lbr_ctl"),
    Field.GUEST_IA32_PKRS: ("entry.load_pkrs",),
    **{field: ("entry.load_fred", "secondary_exit.save_fred") for field in Field if "GUEST_IA32_FRED" in field.name},
    Field.GUEST_IA32_SPEC_CTRL: SPEC_CTRL,
    Field.GUEST_DEADLINE: ("tertiary.apic_timer_virtualization",),
    Field.HOST_IA32_PAT: ("exit.load_pat",),
    Field.HOST_IA32_EFER: ("exit.load_efer",),
    Field.HOST_IA32_PERF_GLOBAL_CTRL: ("exit.load_perf_global_ctrl",),
    Field.HOST_IA32_PKRS: ("exit.load_pkrs",),
    **{field: ("secondary_exit.load_fred",) for field in Field if "HOST_IA32_FRED" in field.name},
    Field.HOST_IA32_SPEC_CTRL: SPEC_CTRL,
    Field.TPR_THRESHOLD: ("primary.use_tpr_shadow",),
    Field.SECONDARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS: ("primary.activate_secondary",),
    Field.PLE_GAP: ("secondary.pause_loop_exiting",),
    Field.PLE_WINDOW: ("secondary.pause_loop_exiting",),
    Field.INSTRUCTION_TIMEOUT_CONTROL: ("secondary.instruction_timeout",),
    Field.SEAM_GUEST_KEYID: ("tertiary.seam_guest_physical_width",),
    Field.VMX_PREEMPTION_TIMER_VALUE: ("pin.preemption_timer",),
    Field.GUEST_IA32_S_CET: ("entry.load_cet_state",),
    Field.GUEST_SSP: ("entry.load_cet_state",),
    Field.GUEST_IA32_INTERRUPT_SSP_TABLE_ADDR: ("entry.load_cet_state",),
    Field.HOST_IA32_S_CET: ("exit.load_cet_state",),
    Field.HOST_SSP: ("exit.load_cet_state",),
    Field.HOST_IA32_INTERRUPT_SSP_TABLE_ADDR: ("exit.load_cet_state",),
}
"""A field exists if at least one of its controls, “vector.name” as in `VmxModel`, may be 1; others exist always."""


def supported_fields(vmx: VmxModel) -> tuple[Field, ...]:
    """The fields that `vmx` has, in table order."""
    return tuple(field for field in Field if field not in NEEDS or any(vmx.has(control) for control in NEEDS[field]))
