"""Control and debug registers, EFER and XCR0 (Vol. 3A §2.5 “Control Registers”, Vol. 3B §18.2 “Debug Registers”)."""

from vmxon.arch.bits import Word, field, flag


class Cr0(Word, width=64):
    """CR0: operating mode and FPU control."""

    pe = flag(0, "protection enable")
    mp = flag(1, "monitor coprocessor: WAIT obeys TS")
    em = flag(2, "emulation: no x87")
    ts = flag(3, "task switched: the next x87 or SSE instruction raises #NM")
    et = flag(4, "extension type, always 1")
    ne = flag(5, "x87 errors raise #MF instead of IRQ 13")
    wp = flag(16, "write protection applies to the supervisor too")
    am = flag(18, "alignment checks allowed")
    nw = flag(29, "not write-through")
    cd = flag(30, "caches disabled")
    pg = flag(31, "paging")


class Cr3(Word, width=64):
    """CR3 where CR4.PCIDE is 0: root of the paging structures."""

    pwt = flag(3, "write-through caching of the root table")
    pcd = flag(4, "no caching of the root table")
    root = field(51, 12, "bits 51:12 of the physical address of the root table")
    lam_u57 = flag(61, "user pointers: metadata in bits 62:57")
    lam_u48 = flag(62, "user pointers: metadata in bits 62:48")


class Cr3Pcid(Word, width=64):
    """CR3 where CR4.PCIDE is 1; bit 63 exists only in the operand of MOV to CR3."""

    pcid = field(11, 0, "process-context identifier")
    root = field(51, 12, "bits 51:12 of the physical address of the root table")
    lam_u57 = flag(61, "user pointers: metadata in bits 62:57")
    lam_u48 = flag(62, "user pointers: metadata in bits 62:48")
    keep = flag(63, "in the operand of MOV: translations of this PCID need not be flushed; never stored")


class Cr4(Word, width=64):
    """CR4: architectural extensions that the operating system switches on."""

    vme = flag(0, "virtual-8086 mode extensions")
    pvi = flag(1, "protected-mode virtual interrupts")
    tsd = flag(2, "RDTSC only at CPL 0")
    de = flag(3, "I/O breakpoints; DR4 and DR5 raise #UD")
    pse = flag(4, "4-MiB pages in 32-bit paging")
    pae = flag(5, "64-bit paging entries")
    mce = flag(6, "machine-check exceptions")
    pge = flag(7, "global pages")
    pce = flag(8, "RDPMC at every CPL")
    osfxsr = flag(9, "the operating system saves SSE state by FXSAVE")
    osxmmexcpt = flag(10, "the operating system takes #XM")
    umip = flag(11, "SGDT, SIDT, SLDT, SMSW and STR only at CPL 0")
    la57 = flag(12, "57-bit linear addresses")
    vmxe = flag(13, "VMX instructions enabled")
    smxe = flag(14, "SMX instructions enabled")
    fsgsbase = flag(16, "RDFSBASE and its kin enabled")
    pcide = flag(17, "process-context identifiers")
    osxsave = flag(18, "XSAVE and XSETBV enabled")
    kl = flag(19, "key locker")
    smep = flag(20, "the supervisor does not execute user pages")
    smap = flag(21, "the supervisor does not touch user pages")
    pke = flag(22, "protection keys for user pages")
    cet = flag(23, "control-flow enforcement")
    pks = flag(24, "protection keys for supervisor pages")
    uintr = flag(25, "user interrupts")
    lass = flag(27, "linear-address-space separation")
    lam_sup = flag(28, "supervisor pointers carry metadata")
    fred = flag(32, "flexible return and event delivery")


class Efer(Word, width=64):
    """IA32_EFER: long mode, SYSCALL and no-execute."""

    sce = flag(0, "SYSCALL and SYSRET enabled")
    lme = flag(8, "long mode enabled")
    lma = flag(10, "long mode active; the processor keeps it equal to LME and CR0.PG")
    nxe = flag(11, "execute-disable bit in paging entries")


class Xcr0(Word, width=64):
    """XCR0: state components that XSAVE handles and that instructions may use."""

    x87 = flag(0, "x87 state, always 1")
    sse = flag(1, "XMM registers and MXCSR")
    avx = flag(2, "upper halves of YMM")
    bndregs = flag(3, "MPX bound registers")
    bndcsr = flag(4, "MPX configuration")
    opmask = flag(5, "AVX-512 mask registers")
    zmm_hi256 = flag(6, "upper halves of ZMM0-15")
    hi16_zmm = flag(7, "ZMM16-31")
    pkru = flag(9, "protection-key rights for user pages")
    tilecfg = flag(17, "AMX tile configuration")
    tiledata = flag(18, "AMX tile data")


class Dr6(Word, width=64):
    """DR6: what the last debug exception was about."""

    b0 = flag(0, "breakpoint 0 met its condition")
    b1 = flag(1, "breakpoint 1 met its condition")
    b2 = flag(2, "breakpoint 2 met its condition")
    b3 = flag(3, "breakpoint 3 met its condition")
    bld = flag(11, "0 after a bus lock (reads 1 otherwise)")
    bd = flag(13, "debug-register access under DR7.GD")
    bs = flag(14, "single step")
    bt = flag(15, "task switch to a task with the trap bit")
    rtm = flag(16, "0 inside a transactional region (reads 1 otherwise)")


class Dr7(Word, width=64):
    """DR7: which breakpoints are armed, on what, how wide."""

    l0 = flag(0, "breakpoint 0 armed for the task")
    g0 = flag(1, "breakpoint 0 armed")
    l1 = flag(2, "breakpoint 1 armed for the task")
    g1 = flag(3, "breakpoint 1 armed")
    l2 = flag(4, "breakpoint 2 armed for the task")
    g2 = flag(5, "breakpoint 2 armed")
    l3 = flag(6, "breakpoint 3 armed for the task")
    g3 = flag(7, "breakpoint 3 armed")
    le = flag(8, "exact data breakpoints for the task; no effect since P6")
    ge = flag(9, "exact data breakpoints; no effect since P6")
    fixed = flag(10, "always 1")
    rtm = flag(11, "advanced debugging of transactional regions")
    gd = flag(13, "any access to a debug register raises #DB")
    rw0 = field(17, 16, "condition of breakpoint 0: 0 execute, 1 write, 2 I/O, 3 read or write")
    len0 = field(19, 18, "bytes of breakpoint 0: 0 one, 1 two, 2 eight, 3 four")
    rw1 = field(21, 20, "condition of breakpoint 1")
    len1 = field(23, 22, "bytes of breakpoint 1")
    rw2 = field(25, 24, "condition of breakpoint 2")
    len2 = field(27, 26, "bytes of breakpoint 2")
    rw3 = field(29, 28, "condition of breakpoint 3")
    len3 = field(31, 30, "bytes of breakpoint 3")


CR0_RESET = Cr0.cd.mask | Cr0.nw.mask | Cr0.et.mask
"""CR0 after power-up and after INIT (0x60000010)."""

DR6_RESET = 0xFFFF_0FF0
"""DR6 after reset: its reserved ones, with no condition recorded."""

DR6_FIXED_ONES = 0xFFFE_07F0
"""Reserved bits of DR6 that always read as 1."""

DR7_RESET = Dr7.fixed.mask
"""DR7 after reset."""
