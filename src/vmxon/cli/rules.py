"""`vmxon rules`: the rule book of VM entry."""

from __future__ import annotations

import json
import sys

import click

AREAS = ("controls", "host", "guest")


@click.group("rules", short_help="List and show the rules of VM entry.")
def command() -> None:
    """The rule book of VM entry: every check that hardware makes, in the order in which it reports them."""


@command.command("list")
@click.option("--area", type=click.Choice(AREAS), help="Only the rules of one area.")
@click.option("--json", "as_json", is_flag=True, help="Report as JSON, with keys, section and fields.")
def list_rules(area: str | None, as_json: bool) -> None:
    """List the rules."""
    from vmxon.explain.rulebook import area_named, rule_json, rule_table
    from vmxon.vmx.rules import RULES

    chosen = [rule for rule in RULES if area is None or rule.area is area_named(area)]
    if as_json:
        click.echo(json.dumps([rule_json(rule) for rule in chosen], ensure_ascii=False))
    else:
        rule_table(chosen).write(sys.stdout)


@command.command("show")
@click.argument("rule", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Report as JSON.")
def show_rule(rule: str, as_json: bool) -> None:
    """Show one rule, by its ID, its number or a key of the list of entry checks such as 27.2.1.1#35."""
    from vmxon.explain.rulebook import find_rules, rule_json, rule_topic

    found = find_rules(rule)
    if as_json:
        click.echo(json.dumps([rule_json(one) for one in found], ensure_ascii=False))
        return
    for position, one in enumerate(found):
        if position:
            click.echo()
        rule_topic(one).document().write(sys.stdout)
