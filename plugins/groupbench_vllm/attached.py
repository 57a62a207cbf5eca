"""Attaching to a server that runs already: it is looked at, probed, and never stopped."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from groupbench.errors import SettingError, UnavailableError
from groupbench.llm.secrets import read_key
from groupbench.llm.server_api import facts_of, served_models
from groupbench_openai_client.probing import probed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NO_KEY = "none"
"""What is sent where no key is wanted: the SDK would look for one of its own."""


@dataclass(eq=False)
class AttachedServer:
    """A `groupbench.service.Service` that somebody else runs."""

    url: str
    names: tuple[str, ...]
    """Under which the model may be served, the likeliest first; empty: the only one there is."""
    key_variable: str = ""
    """The environment variable that holds the API key; empty: none is wanted."""
    key: str = field(init=False)
    """What decides it."""
    gpus: float = field(default=0, init=False)
    """Ours: none."""

    def __post_init__(self) -> None:
        self.key = f"the server at {self.url}, for {' or '.join(self.names) or 'its only model'}"

    def start(self, folder: Path) -> Mapping[str, str]:
        """Look at the server and probe it, once for all fits.

        Raises:
            UnavailableError: it does not answer.
            ServerError: what it says cannot be read.
            SettingError: it does not serve the model, or the API key is not there.
        """
        del folder  # it logs elsewhere
        api_key = read_key(self.key_variable) if self.key_variable else NO_KEY
        try:
            listed = served_models(self.url, api_key)
        except OSError as problem:
            raise UnavailableError(f"url = '{self.url}': no server answers ({problem}).") from None
        address = {"url": self.url, "api_key": api_key}
        return probed({**address, **facts_of(self.url, self._named(listed), api_key)}, self.key)

    def alive(self) -> bool:
        """Return that it runs: what fails there is said by its replies."""
        return True

    def stop(self) -> None:
        """Leave it alone."""

    def _named(self, listed: Mapping[str, Mapping[str, object]]) -> str:
        for name in self.names:
            served = [one for one, facts in listed.items() if name in {one, facts.get("root")}]
            if served:
                return served[0]
        if len(listed) == 1 and not self.names:
            return next(iter(listed))
        raise SettingError(
            f"url = '{self.url}' serves {', '.join(sorted(listed)) or 'nothing'},"
            f" not {' or '.join(self.names) or 'one model alone'}; name one as served_as=NAME."
        )
