"""Options that are accepted before and after the command's name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

C = TypeVar("C", bound="Callable[..., Any]")

OFFLINE = {
    "GROUPBENCH_OFFLINE": "1",
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_EVALUATE_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
}
"""What ``--offline`` hands to the libraries below, before any of them is imported."""


def _go_offline(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        os.environ.update(OFFLINE)


def _set_debug(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        set_debug(context)


def set_debug(context: click.Context) -> None:
    """Ask for tracebacks."""
    context.find_root().params["debug"] = True
    remember(context, "debug", value=True)


def remember(context: click.Context, name: str, *, value: object) -> None:
    """Tell the end of the program something that errors need to know there."""
    told = context.find_root().obj
    if isinstance(told, dict):
        told[name] = value


offline_option = click.option(
    "--offline",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_go_offline,
    help="Never use the network.",
)
_debug_option = click.option(
    "--debug", is_flag=True, expose_value=False, callback=_set_debug, help="Show tracebacks."
)


def common_options(command: C) -> C:
    """Accept ``--debug`` and ``--offline`` after the command's name too."""
    return offline_option(_debug_option(command))
