"""Plugins: who offers what, and getting at it. One that is broken is named and harms nothing."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groupbench.errors import CardError, PluginError, UnknownNameError
from groupbench.offline import offline_because
from groupbench.plugins.catalogue import Catalogue, Lazily
from groupbench.plugins.index import Broken, Offering, Record, read_records, task_facts
from groupbench.plugins.sources import PLUGINS, Source, installed, named_by_environment, select
from groupbench.settings import Spec, configure

if TYPE_CHECKING:
    from collections.abc import Iterable

    from groupbench.execute import Executor
    from groupbench.grouping import GroupingStrategy
    from groupbench.metrics import Metric
    from groupbench.plugins.loading import Loaded
    from groupbench.runner import Runner
    from groupbench.suite import Suite
    from groupbench.task import Task


@dataclass(eq=False)
class Plugins:
    """The plugins of this environment: what they offer is known, none is imported before use.

    Make one with `discover`.
    """

    records: tuple[Record, ...]
    """What the index says about each plugin."""
    tasks_dirs: tuple[Path, ...] = ()
    """Folders whose task cards are offered too."""
    trusted: frozenset[str] = frozenset()
    """Full names of metrics whose downloaded code the user agreed to run."""
    _loaded: dict[Source, Loaded] = field(default_factory=dict, repr=False)
    _objects: dict[tuple[Source, str], list[Any]] = field(default_factory=dict, repr=False)
    _suites: dict[str, Suite] = field(default_factory=dict, repr=False)
    _catalogues: dict[str, Catalogue] = field(default_factory=dict, repr=False)

    @classmethod
    def discover(
        cls,
        *,
        blocked: Iterable[str] = (),
        only: Iterable[str] | None = None,
        strict: bool = False,
        tasks_dirs: Iterable[str | Path] | None = None,
        trusted: Iterable[str] = (),
    ) -> Plugins:
        """Return the installed plugins.

        Args:
            blocked: names of plugins, or of distributions, to leave out.
            only: the plugins to use; ``None``: those that ``GROUPBENCH_PLUGINS`` names (``none``
                for none), else all.
            strict: whether a broken plugin is an error.
            tasks_dirs: folders of task cards; ``None``: those of ``GROUPBENCH_TASKS``.
            trusted: metrics of the hub whose code may be run.

        Raises:
            UnknownNameError: ``only`` or ``blocked`` names a plugin that is not installed.
            PluginError: ``strict``, and a plugin is broken.
        """
        if only is None:
            only = named_by_environment()
        if tasks_dirs is None:
            paths = os.environ.get("GROUPBENCH_TASKS", "").split(os.pathsep)
            tasks_dirs = [path for path in paths if path]
        sources = select(installed(PLUGINS), blocked=blocked, only=only)
        plugins = cls(
            tuple(read_records(sources)), tuple(map(Path, tasks_dirs)), frozenset(trusted)
        )
        if strict and plugins.broken:
            raise PluginError(" ".join(map(str, plugins.broken)))
        return plugins

    @cached_property
    def broken(self) -> tuple[Broken, ...]:
        """What is wrong, and with which plugin."""
        return tuple(
            Broken(record.source, problem) for record in self.records for problem in record.problems
        )

    def offered(self, kind: str) -> Catalogue:
        """Return what is offered of one kind, by name; a name taken twice only as ``dist/name``."""
        if kind not in self._catalogues:
            offerings = [o for r in self.records for o in r.offerings if o.kind == kind]
            if kind == "tasks":
                # The user named the folder on purpose; the plugin only happens to be installed.
                self._catalogues[kind] = Catalogue(
                    kind, offerings, self._offered_by_suites(), self._offered_by_folders()
                )
            else:
                self._catalogues[kind] = Catalogue(kind, offerings)
        return self._catalogues[kind]

    @property
    def tasks(self) -> Catalogue:
        """Tasks of plugins and of the folders of cards, then those of suites."""
        return self.offered("tasks")

    @property
    def suites(self) -> Catalogue:
        return self.offered("suites")

    @property
    def groupings(self) -> Catalogue:
        return self.offered("groupings")

    @property
    def runners(self) -> Catalogue:
        return self.offered("runners")

    @property
    def metrics(self) -> Catalogue:
        return self.offered("metrics")

    @property
    def executors(self) -> Catalogue:
        return self.offered("executors")

    def suite(self, spec: str | Spec) -> Suite:
        """Return a suite, for example of ``calibration:world=2``."""
        source, configured = self._configured("suites", spec)
        from groupbench.plugins.loading import call_plugin

        what = f"building suite {configured.name}"
        suite: Suite = call_plugin(source, what, configured.build)
        return suite

    def grouping(self, spec: str | Spec) -> GroupingStrategy:
        """Return a configured grouping strategy."""
        strategy: GroupingStrategy = self._configured("groupings", spec)[1]
        return strategy

    def runner(self, spec: str | Spec) -> Runner:
        """Return a configured runner."""
        runner: Runner = self._configured("runners", spec)[1]
        return runner

    def executor(self, spec: str | Spec) -> Executor:
        """Return a configured executor."""
        executor: Executor = self._configured("executors", spec)[1]
        return executor

    def class_of(self, kind: str, name: str) -> type[Any]:
        """Return the class registered under a name; only the plugin that offers it is imported."""
        cls: type[Any] = self._object(self._find(kind, name))
        return cls

    def runner_class(self, name: str) -> type[Runner]:
        """Return the class of a runner."""
        return self.class_of("runners", name)

    def loader(self, name: str) -> type[Any]:
        """Return the class of a loader that cards can name."""
        return self.class_of("loaders", name)

    def metric(self, name: str) -> Metric:
        """Return a metric; ``family:rest`` is one of a family, for example of the hub."""
        from groupbench.metrics import find_metric

        family = name if name in self.metrics else name.partition(":")[0]
        offering = self._find("metrics", family)
        offline = offline_because() is not None
        found: dict[str, Metric] = {family: self._object(offering)}
        return find_metric(name, found, allowed=self.trusted, offline=offline)

    def task(self, name: str) -> Task:
        """Return a task of a plugin, of a folder of cards, or of a suite with its defaults.

        Raises:
            UnknownNameError: nobody offers it.
            CardError: its card is wrong, or a name is taken twice among the folders of cards.
        """
        offering = self._find("tasks", name)
        if not offering.source.value:
            tasks = self._folder_tasks[Path(offering.source.plugin)]
            return next(task for task in tasks if task.name == offering.name)
        if offering.suite is not None:
            if offering.suite not in self._suites:
                self._suites[offering.suite] = self.suite(offering.suite)
            return self._suites[offering.suite][offering.name]
        if card := offering.facts.get("card"):
            from groupbench.cards.card import load_card

            return load_card(card).task(Lazily(self.offered("loaders"), self.loader))
        task: Task = self._object(offering)
        return task

    def notify(self, hook: str, *subject: object, **subjects: object) -> None:
        """Tell every observer of ``hook``; one that raises is reported and ignored."""
        if subject:
            from groupbench import hookspecs

            code = getattr(hookspecs, hook).__code__
            subjects |= dict(zip(code.co_varnames, subject, strict=False))
        for record in self.records:
            if hook not in record.hooks:
                continue
            try:
                problems = self._load(record.source).observe(hook, subjects)
            except PluginError as failure:
                problems = [str(failure)]
            for problem in problems:
                import logging  # slow to import, and nothing else here needs it

                log = logging.getLogger("groupbench")
                log.warning("%s was ignored: %s.", record.source, problem)

    @cached_property
    def _folder_tasks(self) -> dict[Path, list[Task]]:
        """Tasks of each folder of cards.

        Raises:
            CardError: a card is wrong, or two of them declare one name.
        """
        if not self.tasks_dirs:
            return {}
        from groupbench.cards.card import load_tasks_dir

        found: dict[Path, list[Task]] = {}
        owners: dict[str, Task] = {}
        for folder in dict.fromkeys(self.tasks_dirs):
            found[folder] = load_tasks_dir(folder, Lazily(self.offered("loaders"), self.loader))
            for task in found[folder]:
                if other := owners.get(task.name):
                    raise CardError(
                        f"{task.source}: name = '{task.name}' is taken by {other.source}; "
                        f"rename one of them."
                    )
                owners[task.name] = task
        return found

    def _offered_by_folders(self) -> list[Offering]:
        return [
            Offering("tasks", task.name, task.summary, _folder(folder), facts=task_facts(task))
            for folder, tasks in self._folder_tasks.items()
            for task in tasks
        ]

    def _offered_by_suites(self) -> list[Offering]:
        return [
            Offering("tasks", task["name"], task["summary"], suite.source, facts=task, suite=name)
            for name, suite in self.suites.items()
            for task in suite.facts["tasks"]
        ]

    def _find(self, kind: str, name: str) -> Offering:
        catalogue = self.offered(kind)
        try:
            return catalogue.find(name)
        except UnknownNameError as unknown:
            if self.broken:  # the name may be one of theirs
                names = ", ".join(sorted({broken.source.plugin for broken in self.broken}))
                unknown.args = (f"{unknown} A broken plugin may have offered it: {names}.",)
            raise

    def _configured(self, kind: str, spec: str | Spec) -> tuple[Source, Any]:
        if isinstance(spec, str):
            spec = Spec.parse(spec)
        offering = self._find(kind, spec.name)
        cls, settings = self._object(offering), spec.settings
        from groupbench.plugins.loading import call_plugin

        where = f"{kind.removesuffix('s')} {offering.name}"
        configured = call_plugin(
            offering.source, f"configuring {where}", lambda: configure(cls, settings, where=where)
        )
        return offering.source, configured

    def _object(self, offering: Offering) -> Any:  # noqa: ANN401 - whatever is registered
        """Return what a plugin registered under the offering's name; only it is imported."""
        source, kind = offering.source, offering.kind
        if (source, kind) not in self._objects:
            self._objects[source, kind] = self._load(source).checked_objects(kind)[0]
        for item in self._objects[source, kind]:
            if getattr(item, "name", None) == offering.name:
                return item
        raise PluginError(
            f"{source} does not offer {kind.removesuffix('s')} '{offering.name}' any more; "
            f"was it changed while this program ran?"
        )

    def _load(self, source: Source) -> Loaded:
        if source not in self._loaded:
            from groupbench.plugins.loading import load_plugin

            try:
                self._loaded[source] = load_plugin(source)
            except PluginError as problem:
                raise PluginError(f"{source} is broken: {problem}.") from problem
        return self._loaded[source]


def _folder(path: Path) -> Source:
    return Source(plugin=str(path), value="", distribution=path.resolve().name, version="")
