"""`vmxon diff`: two VMCS dumps by meaning."""

from __future__ import annotations

import json
import sys

import click

from vmxon.errors import ExitStatus


@click.command("diff", short_help="Compare two VMCS dumps by meaning.")
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option("--json", "as_json", is_flag=True, help="Report as JSON.")
def command(first: str, second: str, as_json: bool) -> int:
    """Compare the VMCS dumps A and B, of any format: the fields that differ, bit by bit, controls by name.

    The exit status is 1 where a field differs that both show.
    """
    from vmxon.explain.differ import compare
    from vmxon.explain.dumps import read_dump_file

    comparison = compare(read_dump_file(first).fields, read_dump_file(second).fields)
    if as_json:
        click.echo(json.dumps(comparison.to_json(), ensure_ascii=False))
    else:
        comparison.document().write(sys.stdout)
    return ExitStatus.GUEST_FAILED if comparison.differences else ExitStatus.SUCCESS
