"""The flags register (Vol. 1 §3.4.3 “EFLAGS Register”)."""

from vmxon.arch.bits import Word, field, flag


class Rflags(Word, width=64):
    """RFLAGS: status, control and system flags."""

    cf = flag(0, "carry", title="CF")
    fixed = flag(1, "always 1")
    pf = flag(2, "parity of the low byte", title="PF")
    af = flag(4, "carry out of bit 3", title="AF")
    zf = flag(6, "zero", title="ZF")
    sf = flag(7, "sign", title="SF")
    tf = flag(8, "single step", title="TF")
    if_ = flag(9, "external interrupts allowed", title="IF")
    df = flag(10, "string instructions go downward", title="DF")
    of = flag(11, "signed overflow", title="OF")
    iopl = field(13, 12, "highest privilege level number that may do I/O", title="IOPL")
    nt = flag(14, "nested task: IRET returns through the task link", title="NT")
    rf = flag(16, "resume: no instruction breakpoint at the next instruction", title="RF")
    vm = flag(17, "virtual-8086 mode", title="VM")
    ac = flag(18, "alignment check, or SMAP override", title="AC")
    vif = flag(19, "virtual interrupt flag", title="VIF")
    vip = flag(20, "virtual interrupt pending", title="VIP")
    id = flag(21, "CPUID can be executed if this can be toggled", title="ID")


FIXED_ONES = Rflags.fixed.mask
"""The only reserved bit that reads as 1."""

STATUS = Rflags.cf.mask | Rflags.pf.mask | Rflags.af.mask | Rflags.zf.mask | Rflags.sf.mask | Rflags.of.mask
"""The six flags that arithmetic writes."""
