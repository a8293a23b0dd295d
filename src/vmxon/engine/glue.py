"""The few functions in LLVM IR by hand: the way from Python into the handlers, and the ways out of them."""

from __future__ import annotations

from vmxon.engine.convention import CONVENTION
from vmxon.engine.handlers import ARGUMENTS, PARAMETERS
from vmxon.engine.places import JUMP_ENTRIES
from vmxon.isa.record import Record
from vmxon.microcode.layout import member_offset
from vmxon.processor.state import ProcessorState


def _field(name: str, register: str) -> str:
    return f"%{register} = getelementptr i8, ptr %cpu, i64 {member_offset(ProcessorState, name)}"


def _store_hot() -> str:
    lines = []
    for argument, name in (("budget0", "budget"), ("result0", "flag_result"), ("auxiliary0", "flag_auxiliary")):
        lines += [_field(name, f"p_{name}"), f"store i64 %{argument}, ptr %p_{name}, align 8"]
    return "\n".join(lines)


def glue(dispatch: str) -> str:
    """IR of `run`, `leave`, `side_exit`, `system_fault`, `jump_cached`, and the handlers that are no instruction."""
    count, next_rip, length = (member_offset(Record, name) for name in ("count", "next_rip", "length"))
    link_next = member_offset(Record, "link_next")
    return f"""
define void @run(ptr %cpu) nounwind {{
entry:
br label %again
again:
%record64 = call i64 @"{dispatch}"(ptr %cpu)
%record = inttoptr i64 %record64 to ptr
%done = icmp eq i64 %record64, 0
br i1 %done, label %out, label %go
go:
{_field("budget", "p_budget")}
%budget = load i64, ptr %p_budget, align 8
{_field("flag_result", "p_result")}
%result = load i64, ptr %p_result, align 8
{_field("flag_auxiliary", "p_auxiliary")}
%auxiliary = load i64, ptr %p_auxiliary, align 8
%handler = load ptr, ptr %record, align 8
call {CONVENTION} void %handler(ptr %cpu, ptr %record, i64 %budget, i64 %result, i64 %auxiliary)
br label %again
out:
ret void
}}

define {CONVENTION} void @leave({ARGUMENTS}) nounwind noinline {{
{_store_hot()}
ret void
}}

define {CONVENTION} void @side_exit({ARGUMENTS}) nounwind noinline {{
{_store_hot()}
{_field("exit_record", "p_exit")}
store ptr %record, ptr %p_exit, align 8
ret void
}}

define {CONVENTION} void @system_fault({ARGUMENTS}) nounwind noinline {{
{_field("exit_record", "p_exit")}
store ptr %record, ptr %p_exit, align 8
ret void
}}

define {CONVENTION} void @jump_cached({ARGUMENTS}) nounwind noinline {{
{_field("rip", "p_rip")}
%rip = load i64, ptr %p_rip, align 8
%high = lshr i64 %rip, 12
%mixed = xor i64 %rip, %high
%index = and i64 %mixed, {JUMP_ENTRIES - 1}
%offset = shl i64 %index, 5
{_field("jump_cache", "p_cache")}
%cache = load ptr, ptr %p_cache, align 8
%slot = getelementptr i8, ptr %cache, i64 %offset
%tag = load i64, ptr %slot, align 8
%p_tag2 = getelementptr i8, ptr %slot, i64 8
%tag2 = load i64, ptr %p_tag2, align 8
{_field("context", "p_context")}
%context = load i64, ptr %p_context, align 8
%same = icmp eq i64 %tag, %rip
%same2 = icmp eq i64 %tag2, %context
%hit = and i1 %same, %same2
{_field("attention", "p_attention")}
%attention = load i8, ptr %p_attention, align 1
%quiet = icmp eq i8 %attention, 0
{_field("link_slot", "p_link")}
%link = load i64, ptr %p_link, align 8
%go = and i1 %hit, %quiet
br i1 %go, label %found, label %slow
found:
%p_next = getelementptr i8, ptr %slot, i64 16
%next = load ptr, ptr %p_next, align 8
%p_count = getelementptr i8, ptr %next, i64 {count}
%count = load i8, ptr %p_count, align 1
%wide = zext i8 %count to i64
%rest = sub i64 %budget0, %wide
%over = icmp slt i64 %rest, 0
br i1 %over, label %slow, label %dispatch, !prof !0
dispatch:
%linkable = icmp ne i64 %link, 0
br i1 %linkable, label %check, label %go_on
check:
%record_rip_p = getelementptr i8, ptr %record, i64 {next_rip}
%record_next = load i64, ptr %record_rip_p, align 8
%last = sub i64 %record_next, 1
%apart = xor i64 %last, %rip
%near = icmp ult i64 %apart, 4096
br i1 %near, label %slow, label %go_on
go_on:
%handler = load ptr, ptr %next, align 8
musttail call {CONVENTION} void %handler(ptr %cpu, ptr %next, i64 %rest, i64 %result0, i64 %auxiliary0)
ret void
slow:
musttail call {CONVENTION} void @leave({ARGUMENTS})
ret void
}}

define {CONVENTION} void @stale({ARGUMENTS}) nounwind noinline {{
%p_next = getelementptr i8, ptr %record, i64 {next_rip}
%next = load i64, ptr %p_next, align 8
%p_length = getelementptr i8, ptr %record, i64 {length}
%length8 = load i8, ptr %p_length, align 1
%length = zext i8 %length8 to i64
%rip = sub i64 %next, %length
{_field("rip", "p_rip")}
store i64 %rip, ptr %p_rip, align 8
{_field("link_slot", "p_link")}
store i64 0, ptr %p_link, align 8
%p_count = getelementptr i8, ptr %record, i64 {count}
%count = load i8, ptr %p_count, align 1
%wide = zext i8 %count to i64
%budget = add i64 %budget0, %wide
musttail call {CONVENTION} void @leave(ptr %cpu, ptr %record, i64 %budget, i64 %result0, i64 %auxiliary0)
ret void
}}

define {CONVENTION} void @stop({ARGUMENTS}) nounwind noinline {{
%p_link_next = getelementptr i8, ptr %record, i64 {link_next}
%linked = load ptr, ptr %p_link_next, align 8
%none = icmp eq ptr %linked, null
br i1 %none, label %slow, label %fast
fast:
%p_count = getelementptr i8, ptr %linked, i64 {count}
%count = load i8, ptr %p_count, align 1
%wide = zext i8 %count to i64
%rest = sub i64 %budget0, %wide
%over = icmp slt i64 %rest, 0
br i1 %over, label %slow, label %go
go:
%handler = load ptr, ptr %linked, align 8
musttail call {CONVENTION} void %handler(ptr %cpu, ptr %linked, i64 %rest, i64 %result0, i64 %auxiliary0)
ret void
slow:
%p_next = getelementptr i8, ptr %record, i64 {next_rip}
%next = load i64, ptr %p_next, align 8
{_field("rip", "p_rip")}
store i64 %next, ptr %p_rip, align 8
{_field("link_slot", "p_link")}
store ptr %p_link_next, ptr %p_link, align 8
musttail call {CONVENTION} void @jump_cached({ARGUMENTS})
ret void
}}
"""


EXTERNALS = "\n".join(
    f"declare {CONVENTION} void @{name}{PARAMETERS}" for name in ("side_exit", "system_fault", "jump_cached")
)
"""What units of handlers refer to."""
