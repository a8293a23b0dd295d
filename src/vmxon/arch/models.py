"""The processor models: `first`, `nehalem`, `max` and `newest`, each a set of features on top of the one before.

To add a feature, write it into the set of the oldest model that should have it; to add a model, write one more `Model`.
CPUID tells the truth: a model lists only what the engine implements.
"""

from __future__ import annotations

from dataclasses import replace

from vmxon.arch.cpuid import Model, VmxModel
from vmxon.arch.features import Feature

REVISION = 0x564D_5801
"""VMCS revision identifier: an arbitrary constant, as on every processor (bytes 01 “XMV”)."""

BASE = frozenset(
    {
        *(
            Feature.FPU,
            Feature.VME,
            Feature.DE,
            Feature.PSE,
            Feature.TSC,
            Feature.MSR,
            Feature.PAE,
            Feature.MCE,
            Feature.CX8,
            Feature.SEP,
            Feature.MTRR,
            Feature.PGE,
            Feature.MCA,
            Feature.CMOV,
            Feature.PAT,
        ),
        *(Feature.PSE36, Feature.CLFLUSH, Feature.FXSR, Feature.SSE, Feature.SSE2, Feature.VMX, Feature.CX16),
        *(Feature.SYSCALL, Feature.NX, Feature.LM, Feature.LAHF),
    }
)

NEHALEM_FEATURES = BASE | {Feature.POPCNT, Feature.RDTSCP, Feature.INVARIANT_TSC}

ALL_FEATURES = NEHALEM_FEATURES | {
    *(Feature.APIC, Feature.X2APIC, Feature.TSC_DEADLINE),
    *(Feature.MMX, Feature.SSE3, Feature.SSSE3, Feature.SSE4_1, Feature.SSE4_2),
    *(Feature.XSAVE, Feature.XSAVEOPT, Feature.XSAVEC, Feature.XINUSE, Feature.XSAVES),
    *(Feature.RDRAND, Feature.RDSEED, Feature.RDPID, Feature.CLFLUSHOPT, Feature.CLWB, Feature.PREFETCHW),
    *(Feature.PCID, Feature.MOVBE, Feature.PDPE1GB, Feature.LZCNT),
    *(
        Feature.FSGSBASE,
        Feature.BMI1,
        Feature.SMEP,
        Feature.BMI2,
        Feature.ERMS,
        Feature.INVPCID,
        Feature.ADX,
        Feature.SMAP,
        Feature.UMIP,
        Feature.PKU,
        Feature.PKS,
        Feature.PERFMON,
        Feature.WAITPKG,
        Feature.WRMSRNS,
        Feature.MSRLIST,
        Feature.SPEC_CTRL,
        Feature.STIBP,
        Feature.SSBD,
    ),
    # The machine does not speculate; with this Linux leaves out page-table isolation.
    Feature.ARCH_CAPABILITIES,
}

# VMX of the first generation: every default-1 control is stuck at 1.

FIRST_PIN = frozenset({"external_interrupt_exiting", "nmi_exiting", "virtual_nmis"})

FIRST_PRIMARY = frozenset(
    {
        *("interrupt_window_exiting", "use_tsc_offsetting", "hlt_exiting", "invlpg_exiting", "mwait_exiting"),
        *("rdpmc_exiting", "rdtsc_exiting", "cr3_load_exiting", "cr3_store_exiting", "cr8_load_exiting"),
        *("cr8_store_exiting", "nmi_window_exiting", "mov_dr_exiting", "unconditional_io_exiting", "use_io_bitmaps"),
        *("use_msr_bitmaps", "monitor_exiting", "pause_exiting"),
    }
)

FIRST_EXIT = frozenset({"save_debug_controls", "host_address_space_size", "acknowledge_interrupt"})

FIRST_ENTRY = frozenset({"load_debug_controls", "ia32e_mode_guest"})

# The second generation: EPT, VPID, PAT and EFER switched by VM entry and exit, preemption timer, TRUE MSRs.

SECOND_PIN = FIRST_PIN | {"preemption_timer"}

SECOND_PRIMARY = FIRST_PRIMARY | {"monitor_trap_flag", "activate_secondary"}

SECOND_SECONDARY = frozenset(
    {"enable_ept", "descriptor_table_exiting", "enable_rdtscp", "enable_vpid", "wbinvd_exiting"}
)

LAST_SECONDARY = SECOND_SECONDARY | {
    *("rdrand_exiting", "rdseed_exiting", "enable_xsaves"),
    *("unrestricted_guest", "enable_invpcid", "enable_vm_functions", "pause_loop_exiting", "use_tsc_scaling"),
    *("vmcs_shadowing", "ept_violation_ve", "enable_pml", "mode_based_execute", "sub_page_write_permissions"),
}

SECOND_EXIT = FIRST_EXIT | {"save_pat", "load_pat", "save_efer", "load_efer", "save_preemption_timer"}

SECOND_ENTRY = FIRST_ENTRY | {"load_pat", "load_efer"}

SECOND_EPT = frozenset(
    {
        *("execute_only", "walk_4", "memory_type_uc", "memory_type_wb", "pages_2m"),
        *("invept", "invept_single", "invept_all"),
        *("invvpid", "invvpid_address", "invvpid_single", "invvpid_all", "invvpid_retaining_globals"),
    }
)

VIRTUAL_APIC = frozenset(
    {
        *("virtualize_apic_accesses", "virtualize_x2apic_mode"),
        *("apic_register_virtualization", "virtual_interrupt_delivery"),
    }
)
"""Secondary controls of APIC virtualization."""

TERTIARY = frozenset(
    {
        *("ipi_virtualization", "enable_msr_list", "virtualize_spec_ctrl", "apic_timer_virtualization"),
        *("enable_hlat", "ept_paging_write", "guest_paging_verification"),
    }
)
"""Tertiary controls."""

OPTIONAL_DEFAULTS = frozenset(
    {
        "primary.cr3_load_exiting",
        "primary.cr3_store_exiting",
        "exit.save_debug_controls",
        "entry.load_debug_controls",
    }
)

FIRST = Model(
    name="first",
    summary="a first-generation VMX processor: no EPT, VPID or unrestricted guest, no TRUE capability MSRs",
    brand="vmxon processor, first VMX generation",
    family=6,
    model=0x0F,
    stepping=6,
    features=BASE,
    physical_width=36,
    vmx=VmxModel(
        REVISION, pin=FIRST_PIN, primary=FIRST_PRIMARY, exit=FIRST_EXIT, entry=FIRST_ENTRY, true_controls=False
    ),
)

NEHALEM = Model(
    name="nehalem",
    summary="EPT with 2-MiB pages and VPID, but no unrestricted guest",
    brand="vmxon processor, EPT and VPID",
    family=6,
    model=0x1A,
    stepping=5,
    features=NEHALEM_FEATURES,
    physical_width=40,
    vmx=VmxModel(
        REVISION,
        pin=SECOND_PIN,
        primary=SECOND_PRIMARY,
        secondary=SECOND_SECONDARY,
        exit=SECOND_EXIT,
        entry=SECOND_ENTRY,
        ept=SECOND_EPT,
        optional_defaults=OPTIONAL_DEFAULTS,
    ),
)

MAX_VMX = VmxModel(
    REVISION,
    pin=SECOND_PIN | {"posted_interrupts"},
    primary=SECOND_PRIMARY | {"use_tpr_shadow", "activate_tertiary"},
    secondary=LAST_SECONDARY | {"enable_user_wait_and_pause"} | VIRTUAL_APIC,
    tertiary=TERTIARY,
    vm_functions=frozenset({"eptp_switching"}),
    exit=SECOND_EXIT | {"load_pkrs", "load_perf_global_ctrl", "save_perf_global_ctl", "activate_secondary"},
    secondary_exit=frozenset({"load_spec_ctrl"}),
    entry=SECOND_ENTRY | {"load_pkrs", "load_perf_global_ctrl", "load_spec_ctrl"},
    ept=SECOND_EPT | {"pages_1g", "accessed_dirty", "advanced_exit_information", "walk_5", "hlat_prefix"},
    optional_defaults=OPTIONAL_DEFAULTS,
)

MAX = Model(
    name="max",
    summary="everything that vmxon implements, but for 57-bit addresses",
    brand="vmxon processor, everything implemented",
    family=6,
    model=0x8F,
    stepping=8,
    features=ALL_FEATURES,
    physical_width=46,
    vmx=MAX_VMX,
)

NEWEST = replace(
    MAX,
    name="newest",
    summary="max with linear addresses of 57 bits, physical ones of 52, and fewer rules for VMWRITE and injection",
    brand="vmxon processor, 57-bit addresses",
    features=ALL_FEATURES | {Feature.LA57},
    physical_width=52,
    linear_width=57,
    vmx=replace(MAX_VMX, writes_any_field=True, any_error_code=True, zero_length_injection=True),
)

MODELS: dict[str, Model] = {model.name: model for model in (FIRST, NEHALEM, MAX, NEWEST)}
"""The models by name, oldest first."""
