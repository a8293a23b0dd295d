"""`vmxon explain`: what a VMX number or name means."""

from __future__ import annotations

import json
import sys

import click


@click.command("explain", short_help="Say what a VMX number or name means.")
@click.argument("item", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Report as JSON.")
def command(item: tuple[str, ...], as_json: bool) -> None:
    """Say what ITEM means, where the SDM says it, what usually causes it, and what to do.

    \b
    exit reason            vmxon explain 48            vmxon explain ept-violation
    exit qualification     vmxon explain ept-violation 0x181
    failed entry           vmxon explain 0x80000021
    VM-instruction error   vmxon explain error 7
    VMCS field             vmxon explain GUEST_CR0     vmxon explain GUEST_CR0 0x31
    control                vmxon explain "unrestricted guest"
    MSR                    vmxon explain IA32_VMX_BASIC 0x564d5801
    register               vmxon explain cr4 0x2020    vmxon explain access-rights 0xa09b
    rule                   vmxon explain 27.2.1.1#35   vmxon explain guest.rflags.bit_1
    exception              vmxon explain '#GP'         vmxon explain exception 14
    everything of a kind   vmxon explain exits         errors, fields, controls, msrs, rules, exceptions
    """
    from vmxon.explain.topics.lookup import look_up

    topics = look_up(item)
    if as_json:
        click.echo(json.dumps([topic.to_json() for topic in topics], ensure_ascii=False))
        return
    for position, topic in enumerate(topics):
        if position:
            click.echo()
        topic.document().write(sys.stdout)
