"""Pushing manifests: what is settled stays so, the newest hour goes first, every hour has one outcome.

Flows differ in ``newest_push``, ``lineage_push`` and ``query_push``; which manifest speaks for an hour is told by the caller.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from iomete_mc_assets import clock
from iomete_mc_assets.errors import Interrupted, IometeMcError, PushError
from iomete_mc_assets.manifests.model import Flow
from iomete_mc_assets.manifests.receipts import Force
from iomete_mc_assets.manifests.store import ManifestStore
from iomete_mc_assets.montecarlo.ingest import Ingest, Outgoing, PycarloIngest
from iomete_mc_assets.push.config import PushConfig, ingest_config
from iomete_mc_assets.push.desk import Desk
from iomete_mc_assets.push.forcing import NOBODY_KNOWS, how_it_goes_on
from iomete_mc_assets.push.ledger import Owner
from iomete_mc_assets.push.lineage_push import LineagePush
from iomete_mc_assets.push.newest_push import NewestPush
from iomete_mc_assets.push.outcome import HourOutcome, Named, Preview
from iomete_mc_assets.push.policy import RunPolicy
from iomete_mc_assets.push.query_push import QueryPush
from iomete_mc_assets.windows import HourWindow


class Nobody:
    """An ingest that takes everything and sends nothing.

    Attributes:
        requests: events and bytes of each that would have gone.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[int, int]] = []

    def send(self, outgoing: Outgoing) -> str:
        """Note its events and bytes."""
        self.requests.append((outgoing.events, len(outgoing.body)))
        return "dry run"


class Pusher:
    """Pushes a store's manifests to one destination."""

    def __init__(
        self,
        store: ManifestStore,
        ingest: Ingest,
        config: PushConfig,
        *,
        now: Callable[[], datetime] = clock.now,
        wait: Callable[[float], object] | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Nothing is read or sent yet.

        Args:
            store: whose manifests; receipts lie beside them.
            ingest: who takes a batch; called from four threads.
            config: where to and how much.
            now: aware UTC.
            wait: sleeps that many seconds between tries; None for real ones.
            jitter: uniform in [0, 1).
        """
        self._store, self._ingest, self._config = store, ingest, config
        self._now, self._wait, self._jitter = now, wait, jitter
        self._policy: RunPolicy | None = None
        self._interrupted: Interrupted | None = None

    @classmethod
    def configured(cls, store: ManifestStore, environment: Mapping[str, str]) -> "Pusher":
        """A pusher through pycarlo.

        Raises:
            SettingsError: something is missing or malformed; before any request.
        """
        config = PushConfig.read(environment)
        return cls(store, PycarloIngest(ingest_config(environment)), config)

    def interrupt(self) -> None:
        """Let no further request begin; from any thread.

        What is under way gets its answers, and every hour that is not settled then is yielded by
        ``push`` with ``Interrupted``, its ledger let go.
        """
        self._interrupted = Interrupted("The push was interrupted, so no further request began.")
        if self._policy is not None:
            self._policy.stop(self._interrupted)

    def push(
        self,
        flow: Flow,
        hours: Mapping[HourWindow, str],
        *,
        named: Callable[[Flow], Named],
        owner: Owner,
        force: Force | None = None,
        only: str | None = None,
    ) -> Iterator[tuple[HourWindow, HourOutcome | IometeMcError]]:
        """Push hours, newest first; each is yielded as soon as it is settled or has failed.

        An error of one hour is yielded, not raised. A wrong key or address, three transient failures
        in a row and the end of the run's time also end what comes after: each remaining hour is
        yielded with that error.

        Args:
            flow: of all hours.
            hours: manifest id by hour.
            named: asked again before each hour.
            owner: the run.
            force: what goes again although it had an end: refused events, those in doubt, or
                everything of the hours; None for nothing. Once for a chain of retries, and never
                for an hour that is superseded or too old, which have settings of their own.
            only: the one table whose records go, as database.table or with its catalog; the hour is
                settled without the others. Of state flows, without ``force``.
        """
        desk = self._desk(owner, force=force, only=only)
        for window in sorted(hours, reverse=True):
            if desk.policy.stopped_by is not None:
                yield window, desk.policy.stopped_by
                continue
            desk.policy.begin_hour()
            yield window, self._answer(desk, flow, window, hours[window], named)

    def dry_run(
        self,
        flow: Flow,
        hours: Mapping[HourWindow, str],
        *,
        named: Callable[[Flow], Named],
        owner: Owner,
        force: Force | None = None,
        only: str | None = None,
    ) -> Iterator[tuple[HourWindow, Preview | IometeMcError]]:
        """What ``push`` would do now, were everything taken: the same push, to nobody. Arguments as there.

        Sends nothing, and writes nothing but in memory.
        """
        ahead = self._store.unwritten()
        for window in sorted(hours, reverse=True):
            if flow == "query_logs":  # such hours do not bear on one another: let memory go
                ahead = self._store.unwritten()
            nobody, hour = Nobody(), {window: hours[window]}
            pusher = Pusher(ahead, nobody, self._config, now=self._now)
            for _, answer in pusher.push(
                flow, hour, named=named, owner=owner, force=force, only=only
            ):
                if isinstance(answer, HourOutcome):
                    yield window, Preview.of(answer, nobody.requests)
                else:
                    yield window, answer

    def _desk(self, owner: Owner, *, force: Force | None = None, only: str | None = None) -> Desk:
        policy = RunPolicy(
            now=self._now,
            wait=self._wait,
            random=self._jitter,
            run_budget_s=self._config.run_budget_s,
            hour_budget_s=self._config.hour_budget_s,
        )
        self._policy = policy
        if self._interrupted is not None:
            policy.stop(self._interrupted)
        return Desk(
            store=self._store,
            ingest=self._ingest,
            config=self._config,
            owner=owner,
            policy=policy,
            now=self._now,
            force=force,
            only=only,
        )

    def how_it_goes_on(
        self, flow: Flow, hours: Mapping[HourWindow, str], *, owner: Owner, force: Force
    ) -> str:
        """What is to be done for hours that a forced push has not settled, for people."""
        desk = self._desk(owner, force=force, only=None)
        try:
            begun = {
                window: self._begun(desk, flow, window, hours[window])
                for window in sorted(hours, reverse=True)
            }
        except (IometeMcError, OSError):  # as the hours' own errors say
            return NOBODY_KNOWS
        return how_it_goes_on(flow, begun, force)

    def _begun(
        self, desk: Desk, flow: Flow, window: HourWindow, manifest_id: str
    ) -> dict[str, bool]:
        """Of each manifest that the hour's push is about, whether an ordinary push would go on with it."""
        each = self._store.manifest_ids(flow, window) if flow == "query_logs" else [manifest_id]
        headers = [self._store.header(flow, window, one) for one in each]
        sent = {
            header.manifest_id: desk.sent(flow, window, header.manifest_id)
            for header in headers
            if header.known and not self._store.pruned(header)
        }
        return {
            one: folder.ended() is None or not desk.is_to_force(folder)
            for one, folder in sent.items()
        }

    def _answer(
        self,
        desk: Desk,
        flow: Flow,
        window: HourWindow,
        manifest_id: str,
        named: Callable[[Flow], Named],
    ) -> HourOutcome | IometeMcError:
        try:
            if flow == "query_logs":
                return QueryPush(desk).push(window, manifest_id)
            return _state_push(desk, flow).push(window, manifest_id, named=named(flow))
        except IometeMcError as error:
            return error
        except OSError as error:
            return PushError(
                f"The manifest store {self._store.root} cannot be read or written ({error}). Make room "
                "there, or give the rights back; the hour is asked for again and goes on from what was written."
            )


def _state_push(desk: Desk, flow: Flow) -> NewestPush | LineagePush:
    return LineagePush(desk) if flow == "lineage" else NewestPush(desk, flow)
