"""Writing a new plugin: the files of ``template``, with its name in them.

A file of the template ends in ``.txt``, so that no tool takes it for ours. ``@NAME@``,
``@PACKAGE@``, ``@CLASS@`` and ``@OFFERS@`` stand for the plugin's; lines between ``#: task`` and
``#: end`` are kept where a task is offered, and likewise for strategies and runners and for
``#: strategy or runner``.
"""

from __future__ import annotations

import keyword
import re
import sys
from dataclasses import dataclass
from importlib import resources
from importlib.util import find_spec
from typing import TYPE_CHECKING

from groupbench.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from importlib.resources.abc import Traversable
    from pathlib import Path

OFFERS = ("task", "strategy", "runner")
"""What a new plugin can offer."""
CATALOGUES = {"task": "tasks", "strategy": "groupings", "runner": "runners"}
"""What listings call it."""
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
MAX_LENGTH = 40

_OPENS = re.compile(r"#: ((?:task|strategy|runner)(?: or (?:task|strategy|runner))*)")
_ONLY_FOR = {
    "package/cards": "task",
    "package/strategy.py": "strategy",
    "package/runner.py": "runner",
    "tests/test_task.py": "task",
    "tests/test_strategy.py": "strategy",
    "tests/test_runner.py": "runner",
}
"""Files, by how their path begins, that need what they are about."""


@dataclass(frozen=True)
class NewPlugin:
    """What a new plugin is called and what it offers."""

    name: str
    """Of the distribution, the plugin, and everything it offers; the folder's name too."""
    offers: tuple[str, ...] = OFFERS

    def __post_init__(self) -> None:
        """Refuse names that pip, Python or groupbench would stumble over.

        Raises:
            PluginError: the name is malformed, a Python word, or that of a package that is here.
        """
        name = self.name
        if not NAME.fullmatch(name) or len(name) > MAX_LENGTH:
            raise PluginError(
                f"The name {name!r} must be words of a-z and 0-9 joined by single hyphens, the"
                f" first character a letter, at most {MAX_LENGTH} in all: try"
                f" '{_mended(name)}'."
            )
        if keyword.iskeyword(self.package) or keyword.issoftkeyword(self.package):
            raise PluginError(f"The name '{name}' is a word of Python's; choose another.")
        if self.package in sys.stdlib_module_names or find_spec(self.package) is not None:
            raise PluginError(
                f"The name '{name}' is that of the Python package {self.package}, which is"
                f" installed here and would be hidden; choose another, such as 'my-{name}'."
            )

    @property
    def package(self) -> str:
        """The Python package's name."""
        return self.name.replace("-", "_")

    @property
    def class_name(self) -> str:
        """What its classes begin with."""
        return "".join(word.capitalize() for word in self.name.split("-"))

    def files(self) -> dict[str, str]:
        """Return the text of each file, by its path below the plugin's folder."""
        wanted = [offer for offer in OFFERS if offer in self.offers]
        *most, last = [f"a {offer}" for offer in wanted]
        words = {
            "@NAME@": self.name,
            "@PACKAGE@": self.package,
            "@CLASS@": self.class_name,
            "@OFFERS@": f"{', '.join(most)} and {last}" if most else last,
        }
        written = {}
        for path, source in _walk(resources.files("groupbench.authoring") / "template", ""):
            needs = next((o for start, o in _ONLY_FOR.items() if path.startswith(start)), None)
            if needs is not None and needs not in wanted:
                continue
            text = _kept(source.read_text(encoding="utf-8"), wanted)
            for marker, word in words.items():
                text = text.replace(marker, word)
            place = path.removesuffix(".txt").replace("NAME", self.name)
            written[re.sub(r"^package/", f"{self.package}/", place)] = text
        return written

    def write(self, folder: Path) -> list[Path]:
        """Write the plugin into ``folder / name`` and return its files.

        Raises:
            PluginError: there is something of that name, or it cannot be written.
        """
        home = folder / self.name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            home.mkdir()
            for path, text in self.files().items():
                target = home / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text, encoding="utf-8")
        except FileExistsError as problem:
            raise PluginError(
                f"{problem.filename or home} is there already, and nothing was overwritten; choose"
                " another name, or another folder with --out."
            ) from None
        except OSError as problem:
            raise PluginError(f"{home}: cannot be written ({problem.strerror}).") from None
        return sorted(path for path in home.rglob("*") if path.is_file())


def demand_free(plugin: NewPlugin, taken: Mapping[str, Collection[str]]) -> None:
    """Raise `PluginError` where a name that the plugin would offer is offered already.

    Args:
        plugin: the new one.
        taken: names by what listings call their kind; ``plugins`` for plugins.
    """
    kinds = ["plugins", *(CATALOGUES[offer] for offer in plugin.offers)]
    for kind in kinds:
        if plugin.name in taken.get(kind, ()):
            raise PluginError(
                f"There is a {kind.removesuffix('s')} '{plugin.name}' already, and of two neither"
                f" would win; choose another name, such as 'my-{plugin.name}'."
            )


def _walk(folder: Traversable, below: str) -> Iterator[tuple[str, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from _walk(entry, f"{below}{entry.name}/")
        elif entry.name.endswith(".txt"):
            yield f"{below}{entry.name}", entry


def _kept(text: str, offers: Collection[str]) -> str:
    """Return the lines that are always there, or there for one of ``offers``."""
    lines: list[str] = []
    keep = True
    for line in text.splitlines(keepends=True):
        if opens := _OPENS.fullmatch(line.strip()):
            keep = not set(offers).isdisjoint(opens[1].split(" or "))
        elif line.strip() == "#: end":
            keep = True
        elif keep:
            lines.append(line)
    return "".join(lines)


def _mended(name: str) -> str:
    words = re.findall(r"[a-z0-9]+", name.lower())
    mended = "-".join(words).lstrip("0123456789-")[:MAX_LENGTH].strip("-")
    return mended or "my-plugin"
