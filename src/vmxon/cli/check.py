"""`vmxon check`: which entry rules a VMCS dump breaks."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from vmxon.errors import ConfigurationError, ExitStatus

if TYPE_CHECKING:
    from vmxon.arch.cpuid import Model


@click.command("check", short_help="Say which entry rules a VMCS dump breaks.")
@click.argument("dump")
@click.option("--model", metavar="NAME", help="The dump comes from this processor model.")
@click.option("--msrs", metavar="FILE", help="JSON of the processor's capability MSRs: number or name, and value.")
@click.option("--number", type=click.IntRange(1), metavar="N", help="Which dump of a log with several, from 1.  [default: the last]")
@click.option("--json", "as_json", is_flag=True, help="Report as JSON.")
def command(dump: str, model: str | None, msrs: str | None, number: int | None, as_json: bool) -> int:
    """Say which entry rules the VMCS in DUMP breaks, and which one hardware reports.

    DUMP is a kernel log with the dump of Linux KVM (kvm_intel.dump_invalid_vmcs=1) or Xen, or JSON such as
    {"GUEST_CR0": "0x80000031"}; - is standard input. Without --model or --msrs, rules that compare with the processor's
    capabilities cannot be told. The exit status is 1 where a rule is broken.
    """
    from vmxon.explain import explain_entry
    from vmxon.explain.dumps import read_capabilities, read_dump_file

    if model and msrs:
        raise click.UsageError("--model and --msrs both describe the processor; give one")
    processor = _model(model) if model else None
    found = read_dump_file(dump, number)
    if msrs:
        found = replace(found, processor=read_capabilities(msrs))
    explanation = explain_entry(found.on_model(processor) if processor else found.record())
    if as_json:
        facts = {"format": found.format, "fields": len(found.fields), "dump": found.number, "dumps": found.count}
        click.echo(json.dumps({**facts, **explanation.to_json()}, ensure_ascii=False))
    else:
        from vmxon.explain.document import Document

        document = explanation.document()
        Document(document.title, (*found.lines(), *document.blocks)).write(sys.stdout)
    return ExitStatus.GUEST_FAILED if explanation.failures else ExitStatus.SUCCESS


def _model(name: str) -> Model:
    """A processor model by name."""
    from vmxon.arch.models import MODELS

    if name not in MODELS:
        raise ConfigurationError(f"no processor model {name!r}", expected=", ".join(MODELS))
    return MODELS[name]
