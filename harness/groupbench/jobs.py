"""From a fit order to the job that an executor gets, and from its folder into the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from groupbench.execute import Job, Work
from groupbench.suite import Suite

if TYPE_CHECKING:
    from collections.abc import Mapping

    from groupbench.allowance import Allowance
    from groupbench.execute import JobEnd
    from groupbench.keys import FitOrder
    from groupbench.runner import Probe, Resources
    from groupbench.store import Draft, Store


def needs_of(order: FitOrder) -> Resources:
    """Return what the fit of an order needs."""
    return order.runner.resources(order.group, Suite("fit", order.tasks))


def missing_probes(store: Store, order: FitOrder) -> tuple[Probe, ...]:
    """Return the probes of an order that measure at its end and have not yet."""
    return tuple(
        probe
        for probe in order.probes
        if not probe.acts_during_training
        and store.get("measurements", order.measurement_key(probe)) is None
    )


def job_of(store: Store, order: FitOrder, service: Mapping[str, str], allowance: Allowance) -> Job:
    """Return the job of an order: to fit, or only to measure where weights were kept.

    Args:
        store: what is there already.
        order: the fit.
        service: the address of what it talks to.
        allowance: of the run.
    """
    minutes, memory = allowance.limits.fit_minutes, allowance.limits.fit_memory_gb
    common: dict[str, Any] = {
        "key": order.key,
        "label": order.label,
        "runner": order.runner,
        "tasks": order.materialised(),
        "seed": order.seed,
        "resources": needs_of(order),
        "service": service,
        "splits": order.splits,
        "max_usd": allowance.usd_left,
        "claimed_usd": allowance.claimed_usd,
        "max_seconds": minutes * 60 if minutes is not None else None,
        "max_memory_bytes": int(memory * (1 << 30)) if memory is not None else None,
    }
    kept = store.get("weights", order.key)
    if (
        kept is not None
        and hasattr(order.runner, "restore")
        and store.get("fits", order.key) is not None
    ):
        # Weights were kept: what is missing is measured without training again.
        return Job(
            **common,
            work=Work.MEASURE,
            probes=missing_probes(store, order),
            weights=kept.folder / "weights",
        )
    return Job(**common, probes=order.probes, keep_weights=order.keep_weights)


def commit(store: Store, order: FitOrder, done: Draft, end: JobEnd) -> None:
    """Commit a fit; its measurements and weights first, so that the fit implies them.

    Raises:
        StoreError: the store cannot be written.
        OSError: likewise.
    """
    folder = done.folder
    for probe in order.probes:
        if probe.acts_during_training:
            continue
        key = order.measurement_key(probe)
        name = f"probe-{probe.name}.safetensors"
        if store.get("measurements", key) is None:
            with store.draft("measurements", key) as draft:
                (folder / name).replace(draft.folder / name)
                draft.commit({"fit": order.key, "probe": probe.name})
        else:
            (folder / name).unlink()
    weights = folder / "weights"
    if weights.is_dir():
        with store.draft("weights", order.key) as draft:
            weights.replace(draft.folder / "weights")
            draft.commit({"fit": order.key})
    if store.get("fits", order.key) is None:
        done.commit(
            {
                "ingredients": order.ingredients,
                "label": order.label,
                "seconds": round(end.seconds, 3),
                "peak_memory_bytes": end.peak_memory_bytes,
                "attempt": end.job.attempt,
            }
        )
