from __future__ import annotations

import pytest

from groupbench.errors import SettingError
from groupbench.llm import Mode, choose_mode
from groupbench.task import Kind

READS = {"token_prompts", "label_reads"}


@pytest.mark.parametrize(
    ("capabilities", "kind", "mode"),
    [
        ({*READS, "json_schema", "chat"}, Kind.SINGLE, Mode.SCORE),
        ({"token_prompts", "echo_scores"}, Kind.MULTILABEL, Mode.SCORE),
        ({"label_reads", "json_schema", "chat"}, Kind.PAIR, Mode.JSON),
        ({"chat"}, Kind.SINGLE, Mode.TEXT),
        ({*READS, "json_schema", "json_compact", "chat"}, Kind.TOKEN, Mode.JSON),
        ({*READS, "json_schema", "chat"}, Kind.TOKEN, Mode.TEXT),
        ({*READS, "json_schema"}, Kind.TOKEN, Mode.JSON),
        ({*READS, "chat"}, Kind.TOKEN, Mode.TEXT),
    ],
)
def test_auto_takes_the_first_mode_that_can_be_had(
    capabilities: set[str], kind: Kind, mode: Mode
) -> None:
    assert choose_mode("auto", kind, capabilities) is mode
    assert choose_mode(str(mode), kind, capabilities) is mode


@pytest.mark.parametrize(
    ("wanted", "kind", "capabilities", "words"),
    [
        ("scores", Kind.SINGLE, READS, "mode = 'scores' is not one of auto, score, choice"),
        ("score", Kind.TOKEN, READS, "a token task is not answered so; use json or text"),
        ("score", Kind.SINGLE, {"chat"}, "needs"),
        ("score", Kind.SINGLE, {"token_prompts"}, "needs label_reads, which"),
        ("json", Kind.SINGLE, {"chat"}, "mode = 'json' needs json_schema"),
        ("auto", Kind.TOKEN, READS, "none of json, text; it can label_reads, token_prompts"),
        ("auto", Kind.SINGLE, set(), "it can nothing"),
    ],
)
def test_what_cannot_be_had_is_refused_with_the_mend(
    wanted: str, kind: Kind, capabilities: set[str], words: str
) -> None:
    with pytest.raises(SettingError) as error:
        choose_mode(wanted, kind, capabilities)
    assert words in str(error.value)
