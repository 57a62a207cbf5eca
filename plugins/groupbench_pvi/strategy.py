"""The strategies ``pvi`` and ``pvi-paper``: tasks whose PVI is alike are trained together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

from groupbench.grouping import Grouping, Plan

if TYPE_CHECKING:
    from groupbench.suite import Suite
    from groupbench.workbench import Workbench
    from groupbench_pvi.measurement import Measuring
    from groupbench_pvi.pairs import Comparing

MARGIN_BITS, MARGIN_NORMALISED = 0.25, 0.15

DECIDING = (
    "groupbench.information",
    "groupbench.temperature",
    "groupbench.search.agreement",
    "groupbench.search.cliques",
    "groupbench.search.linkage",
    "groupbench.search.partition",
    "groupbench.search.relation",
    "groupbench.stats.corrections",
)


@dataclass(frozen=True)
class Pvi:
    """Groups tasks whose PVI is shown to be equivalent (the default), or not shown to differ."""

    name: ClassVar[str] = "pvi"
    summary: ClassVar[str] = "tasks whose pointwise V-information is alike, pair by pair"
    deciding_modules: ClassVar[tuple[str, ...]] = DECIDING

    test: Literal["tost", "welch", "mwu", "brunner_munzel", "ks", "effect"] = "tost"
    """What decides a pair: tost asks for evidence of likeness, others for none of difference."""
    alpha: float = 0.05
    """Level of the test."""
    margin: float | None = None
    """Largest difference of means that counts as alike: 0.25 bits; normalised: 0.15."""
    effect: Literal["cliff", "cohen", "wasserstein"] = "cliff"
    """With test=effect: negligible up to 0.147, 0.2, or the margin."""
    correction: Literal["auto", "none", "bonferroni", "holm", "bh"] = "auto"
    """For many pairs. auto: holm for difference tests, none for tost."""
    gate: Literal["none", "anova", "kruskal"] = "none"
    """Omnibus test before a difference test: if it sees nothing, all tasks are one group."""
    rule: Literal["clique_partition", "components", "complete_linkage", "maximal_cliques"] = (
        "clique_partition"
    )
    """From pairs to groups; all but components keep every pair inside a group accepted."""
    null: Literal["closed-form", "trained", "in-context"] = "closed-form"
    """What does without the input: label frequencies, a model of blank inputs, a prompt of none."""
    calibrate: bool = True
    """Scale each fit by one temperature picked on dev-A; with null=in-context none is."""
    normalise: bool = False
    """Divide PVI by the entropy of the task's labels."""
    aggregate: Literal["sentence_mean", "token", "entity_only"] = "sentence_mean"
    """Units of token tasks: sentences, words, or entity words by sentence."""
    max_group_size: int | None = None
    """Most tasks in a group."""
    min_group_size: int = 1
    """Fewest tasks in a group; those left over stay alone."""
    same_kind: bool = False
    """Never join tasks of different kinds."""
    same_domain: bool = False
    """Never join tasks of different domains."""
    equal_sizes: int = 0
    """Draws of subsamples of one size, median p over them; 0: all examples. 200 is usual."""
    bootstrap: int = 0
    """Draws that resample seeds, then examples (tost, welch); 0: none. 2000 is usual."""
    cross_fit: int = 0
    """Folds of train and dev-B, each measured by a model of the others; 0: dev-B only."""

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise ValueError(f"alpha = {self.alpha} must lie between 0 and 1")
        if self.margin is not None and self.margin <= 0:
            raise ValueError(f"margin = {self.margin} must be above 0")
        for name in ("equal_sizes", "bootstrap", "cross_fit"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} = {getattr(self, name)} must be 0 or more")
        if self.cross_fit == 1:
            raise ValueError("cross_fit = 1 leaves nothing to train on; use 0 (off), or 2 or more")
        if self.bootstrap == 1:
            raise ValueError("bootstrap = 1 shows no spread; use 0 (off), or 200 or more")
        if self.bootstrap and (self.test not in ("tost", "welch") or self.equal_sizes):
            raise ValueError(
                "bootstrap resamples means: it goes with test=tost or welch, without equal_sizes"
            )
        if self.gate != "none" and self.test in ("tost", "effect"):
            raise ValueError(f"gate = {self.gate} goes with difference tests, not {self.test}")
        if self.min_group_size < 1 or (self.max_group_size or 1) < 1:
            raise ValueError("min_group_size and max_group_size must be 1 or more")
        if self.max_group_size is not None and self.max_group_size < self.min_group_size:
            raise ValueError(
                f"max_group_size = {self.max_group_size} is below min_group_size = "
                f"{self.min_group_size}"
            )
        if self.rule == "components" and self.max_group_size is not None:
            raise ValueError("rule = components keeps no max_group_size; use clique_partition")

    @property
    def margin_used(self) -> float:
        """The margin, in bits, or in shares of the label entropy where PVI is normalised."""
        if self.margin is not None:
            return self.margin
        return MARGIN_NORMALISED if self.normalise else MARGIN_BITS

    @property
    def unit(self) -> str:
        """What differences are measured in."""
        return "shares of label entropy" if self.normalise else "bits"

    def measuring(self) -> Measuring:
        """Return how PVI is measured."""
        from groupbench.information import Aggregate
        from groupbench_pvi.measurement import Measuring

        return Measuring(
            trained_null=self.null == "trained",
            prompt_null=self.null == "in-context",
            calibrate=self.calibrate,
            aggregate=Aggregate(self.aggregate),
            cross_fit=self.cross_fit,
        )

    def comparing(self) -> Comparing:
        """Return how pairs are compared."""
        from groupbench_pvi.pairs import Comparing

        correction = self.correction
        if correction == "auto":
            correction = "none" if self.test in ("tost", "effect") else "holm"
        return Comparing(
            test=self.test,
            alpha=self.alpha,
            margin=self.margin_used,
            effect=self.effect,
            correction=correction,
            gate=self.gate,
            equal_sizes=self.equal_sizes,
            bootstrap=self.bootstrap,
            normalised=self.normalise,
        )

    def plan(self, suite: Suite, workbench: Workbench) -> Plan:  # noqa: ARG002 - the contract
        """Return the single-task fits, and what null and cross-fitting add to them."""
        return Plan(self.measuring().plan(suite.names))

    def propose(self, suite: Suite, workbench: Workbench) -> Grouping:
        """Return the grouping, with the evidence for every task and pair.

        Raises:
            DataError: a task has too few dev-B examples, or (normalised) one label only.
            IncompatibleError: the runner gives no probabilities of a task's labels.
        """
        from groupbench_pvi.proposal import propose

        return propose(self, suite, workbench)


@dataclass(frozen=True)
class PviPaper:
    """Our reading of the paper: uncalibrated PVI, Welch's test at 0.05, cliques, no correction."""

    name: ClassVar[str] = "pvi-paper"
    summary: ClassVar[str] = "our reading of Li et al. 2024: tasks whose mean PVI does not differ"
    deciding_modules: ClassVar[tuple[str, ...]] = DECIDING

    alpha: float = 0.05
    """Level of Welch's test."""
    null: Literal["closed-form", "trained"] = "closed-form"
    """What does without the input: training label frequencies, or a model of blank inputs."""

    def __post_init__(self) -> None:
        self.as_pvi()

    def as_pvi(self) -> Pvi:
        """Return the settings of ``pvi`` that this stands for."""
        return Pvi(
            test="welch", alpha=self.alpha, correction="none", calibrate=False, null=self.null
        )

    def plan(self, suite: Suite, workbench: Workbench) -> Plan:
        """Return the single-task fits, and the trained nulls if asked for."""
        return self.as_pvi().plan(suite, workbench)

    def propose(self, suite: Suite, workbench: Workbench) -> Grouping:
        """Return the grouping of `as_pvi`, labelled as a reading."""
        grouping = self.as_pvi().propose(suite, workbench)
        note = (
            "our reading of arXiv:2410.12774, whose public texts do not say which test, level, "
            "correction or rule was used: Welch, uncorrected, uncalibrated, clique partition"
        )
        return replace(grouping, evidence={"reading": note, **grouping.evidence})
