"""The checks that every runner must pass, and its hook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from groupbench.testing.pytest_helper import parametrize_with_checks
from groupbench_encoder import hooks
from groupbench_encoder.runner import EncoderRunner

if TYPE_CHECKING:
    from groupbench.testing.checks import Check

TINY = EncoderRunner(model="tiny", device="cpu", epochs=1)
WINDOWS = EncoderRunner(model="tiny", device="cpu", steps=2, max_length=8, long_inputs="windows")


@parametrize_with_checks([TINY, WINDOWS])
def test_encoder(runner: EncoderRunner, check: Check) -> None:
    check(runner)


def test_the_plugin_offers_the_runner() -> None:
    assert list(hooks.groupbench_register_runners()) == [EncoderRunner]
