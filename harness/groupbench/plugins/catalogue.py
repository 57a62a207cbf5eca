"""What is offered of one kind, by name, where a name may be taken twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, TypeVar

from groupbench.errors import PluginError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from groupbench.plugins.index import Offering

T = TypeVar("T")


class Catalogue(Mapping[str, "Offering"]):
    """Offerings of one kind. A name that two plugins take is there only as ``dist/name``.

    Args:
        kind: the plural that commands use.
        offerings: what plugins and folders offer.
        fallbacks: what is offered under names that ``offerings`` leaves free.
        preferred: what the user named on purpose: it wins over ``offerings``, which then go by
            ``dist/name`` only, and are not listed.
    """

    def __init__(
        self,
        kind: str,
        offerings: Iterable[Offering],
        fallbacks: Iterable[Offering] = (),
        preferred: Iterable[Offering] = (),
    ) -> None:
        self.kind = kind
        self._named: dict[str, list[Offering]] = {}
        for offering in offerings:
            self._named.setdefault(offering.name, []).append(offering)
        taken = frozenset(self._named)
        for offering in fallbacks:
            if offering.name not in taken:
                self._named.setdefault(offering.name, []).append(offering)
        self._listed: dict[str, Offering] = {}
        self._qualified: dict[str, Offering] = {}
        for name, rivals in self._named.items():
            qualified = _qualified(rivals)
            self._qualified |= qualified
            self._listed |= {name: rivals[0]} if len(rivals) == 1 else qualified
        self.hidden: dict[str, Offering] = {}
        """What a preferred one hides, by the name that still finds it."""
        for mine in preferred:
            for rival in self._named.get(mine.name, []):
                (name,) = (n for n, o in _qualified([mine, rival]).items() if o is rival)
                self.hidden[name] = self._qualified[name] = rival
                self._listed = {n: o for n, o in self._listed.items() if o is not rival}
            self._named[mine.name] = [mine]
            self._listed[mine.name] = mine
            self._qualified |= _qualified([mine])

    def __getitem__(self, name: str) -> Offering:
        return self._listed[name] if name in self._listed else self._qualified[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._listed))

    def __len__(self) -> int:
        return len(self._listed)

    def find(self, name: str) -> Offering:
        """Return what ``name``, or ``dist/name``, stands for.

        Raises:
            UnknownNameError: nobody offers it; the nearest name is suggested.
            PluginError: two offer it, and the name does not say whose is meant.
        """
        try:
            return self[name]
        except KeyError:
            pass
        what = self.kind.removesuffix("s")
        rivals = self._named.get(name)
        if not rivals:
            raise UnknownNameError(what, name, self)
        owners = " and ".join(str(offering.source) for offering in rivals)
        choices = " or ".join(sorted(_qualified(rivals)))
        raise PluginError(f"The {what} '{name}' is offered twice, by {owners}: write {choices}.")


class Lazily(Mapping[str, T]):
    """A mapping of known names whose values are made when somebody asks for them."""

    def __init__(self, names: Collection[str], make: Callable[[str], T]) -> None:
        self._names = names
        self._make = make

    def __getitem__(self, name: str) -> T:
        if name not in self._names:
            raise KeyError(name)
        return self._make(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _qualified(rivals: list[Offering]) -> dict[str, Offering]:
    """Return offerings of one name by ``owner/name``; the owner is the first thing that differs."""
    for owners in (
        [offering.suite or offering.source.distribution for offering in rivals],
        [offering.source.plugin for offering in rivals],
        [f"{offering.source.distribution}/{offering.source.plugin}" for offering in rivals],
    ):
        if len(set(owners)) == len(rivals):
            break
    else:
        owners = [str(number) for number in range(1, len(rivals) + 1)]  # one hook, one name, twice
    return {
        f"{owner}/{offering.name}": offering for owner, offering in zip(owners, rivals, strict=True)
    }
