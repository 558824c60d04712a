"""Leases on a fleet's nodes: reservations that its head keeps, and cpus that our own waiting workers have lent.

The head need not know of loans: what a worker lends goes to other workers of the same driver, on the same node, until
the worker goes on. So nested calls never wait for the cpus that their callers hold, however full the cluster is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from executor.devices import Devices
from executor.errors import InfeasibleRequestError
from executor.hosting.fleet import Fleet
from executor.library.asking import Answer, Asking, Question
from executor.library.ledger import Area, Bundle, FindRoom, Lease, Ledger, LostBundle, check_labels, check_room
from executor.library.plans import Plan
from executor.messages import Reservation
from executor.resources import Node, Request, Resources

_AGAIN_S = 1.0


@dataclass(slots=True, eq=False)
class Tenancy(Lease):
    """A lease on a node: what it has of the head's, and otherwise its cpus from those that are lent there."""

    reservation: Reservation | None = None
    borrows: bool = False


class Tenancies(Area):
    """All of them, and what is lent on each node."""

    def __init__(self, fleet: Fleet, unfit: Mapping[str, str], answered: Callable[[], None]) -> None:
        self._fleet = fleet
        self._unfit = unfit
        self._asking = Asking(fleet, answered)
        self._lent: dict[str, Resources] = {}
        self._ended: dict[str, list[Tenancy]] = {}
        self._lost: set[str] = set()  # a node that comes back has another name
        self._left: set[str] = set()
        self._news = 0
        self.in_vain: set[Request] = set()
        """What was asked for since there was any news, and not to be had."""
        self.releasing = 0
        """How many reservations are being given back, of which is told when that is done."""

    def lent(self) -> Resources:
        """What nobody uses of all that is lent."""
        return sum(tuple(self._lent.values()), Resources())

    def borrow(self, request: Request, *, where_drained: bool = False) -> Tenancy | None:
        """Cpus that are lent somewhere, if that is all that is asked for; on nodes to be emptied or on the others."""
        (bundle,) = request.bundles
        for node, lent in self._lent.items():
            if bundle and bundle.fits(lent) and (node in self._left) is where_drained:
                self._lent[node] = lent - bundle
                return Tenancy(self, request, node, None, borrows=True)
        return None

    def rent(self, request: Request) -> Tenancy | None:
        """Room of the head's, with its cpus or beside those that are lent; None while `room` gives none.

        Raises:
            InfeasibleRequestError: no node has it, nor will have.
        """
        answer = self.room(request, self._beside_loans(request))
        if answer is None or answer.reservation is None:
            return None
        reservation = answer.reservation
        lease = Tenancy(
            self, request, reservation.nodes[0], self._fleet.shares(reservation)[0], reservation=reservation
        )
        if not answer.is_instead:
            return lease
        (cpus,), lent = lease.cpus.bundles, self._lent.get(lease.node, Resources())
        if not cpus.fits(lent):  # any more
            self.release(reservation)
            return None
        self._lent[lease.node] = lent - cpus
        lease.borrows = True
        return lease

    def _beside_loans(self, request: Request) -> tuple[Request, tuple[str, ...]] | None:
        """All but the cpus, but for the nodes where not enough of these are lent."""
        (bundle,) = request.bundles
        cpus = Resources.of(cpu=bundle["cpu"])
        rest = bundle - cpus
        lenders = {node for node, lent in self._lent.items() if cpus and cpus.fits(lent)} - self._left
        if not rest or not lenders:
            return None
        others = (node.name for node in self._fleet.nodes() if node.name not in lenders)
        return Request((rest,), request.strategy), (*self._unfit, *others)

    def room(
        self,
        request: Request,
        instead: tuple[Request, tuple[str, ...]] | None = None,
        avoid: tuple[str, ...] = (),
    ) -> Answer | None:
        """What the head says to a request for room on nodes not in `avoid`; None while it says nothing yet.

        Raises:
            InfeasibleRequestError: no node that we can use has it, nor will have.
        """
        if self._asking.is_open(request):
            return None
        question = Question(request, (*self._unfit, *avoid), instead, self._news)
        answer = self._asking.take(request)
        if answer is not None and answer.reservation is not None:
            if self._is_there(answer.reservation) and not set(answer.reservation.nodes) & set(avoid):
                return answer
            self.release(answer.reservation)
        elif answer is not None and answer.question == question:
            if answer.never:
                raise InfeasibleRequestError("; left out: ".join([answer.never, *self._unfit.values()]))
            self.in_vain.add(request)
            return answer
        self._asking.ask(question)
        return None

    def _is_there(self, reservation: Reservation) -> bool:
        """Whether all of its nodes are: one that was lost or left out since has been dealt with already."""
        return set(reservation.nodes) <= {node.name for node in self._fleet.nodes()} - set(self._unfit)

    def hear_news(self) -> None:
        """There may be room for what was asked for in vain, and for what is being asked for."""
        self._news += 1
        self.in_vain.clear()

    def drop_unwanted(self, now: float) -> float | None:
        """Give back the room that was asked for and that nobody needs any more; when to look again."""
        for answer in self._asking.unwanted(now):
            if answer.reservation is not None:
                self.release(answer.reservation)
        return self._asking.due(now)

    def close(self) -> None:
        """Ask for no more."""
        self._asking.close()

    def give_back(self, lease: Lease) -> None:
        assert isinstance(lease, Tenancy)
        if lease.node in self._lost:
            pass  # there is nothing to lend there any more
        elif lease.borrows and lease.lent is None:
            self._take_in(lease)
        elif lease.lent is not None and not lease.borrows:
            self._ended.setdefault(lease.node, []).append(lease)  # others may be at work with its cpus
            self._settle(lease.node)
            return
        if lease.reservation is not None:
            self.release(lease.reservation)

    def lend(self, lease: Lease) -> bool:
        lease.lent = lease.cpus
        self._take_in(lease)
        return True

    def take_back(self, lease: Lease) -> bool:
        assert lease.lent is not None
        (cpus,), lent = lease.lent.bundles, self._lent.get(lease.node, Resources())
        if not cpus.fits(lent):
            return False
        self._lent[lease.node] = lent - cpus
        lease.lent = None
        return True

    def _take_in(self, lease: Lease) -> None:
        """Its cpus can be had, also by who needs more than these."""
        self.in_vain = {request for request in self.in_vain if not set(request.bundles[0]) - {"cpu"}}
        self._lent[lease.node] = self._lent.get(lease.node, Resources()) + lease.cpus.bundles[0]
        self._settle(lease.node)

    def _settle(self, node: str) -> None:
        """Give back the reservations of which nobody uses the cpus any more."""
        waiting = self._ended.get(node, [])
        for lease in list(waiting):
            if self.take_back(lease):
                waiting.remove(lease)
                assert lease.reservation is not None
                self.release(lease.reservation)

    def leave_node(self, node: str) -> None:
        """A node is to be emptied: what is lent there is for those who find nothing elsewhere."""
        self._left.add(node)

    def release(self, reservation: Reservation) -> None:
        """Give room back to the head."""
        self.releasing += 1
        self._fleet.release(reservation)

    def lose(self, node: str) -> None:
        """A node is gone, with all that was held there: what ends there from now on is only released."""
        self._lost.add(node)
        self._lent.pop(node, None)
        for lease in self._ended.pop(node, []):
            if lease.reservation is not None:
                self.release(lease.reservation)


class FleetLedger(Ledger):
    """The books of one driver among others. What does not fit just now is asked for again when something changes."""

    is_shared = True

    def __init__(self, fleet: Fleet, again: Callable[[], None], unfit: Mapping[str, str]) -> None:
        """On nodes in `unfit`, which says why, nothing is asked for.

        `again` is told when it is time to ask anew, and when the head has answered.
        """
        super().__init__()
        self._again = again
        self._fleet = fleet
        self._tenancies = Tenancies(fleet, unfit, again)
        self._groups: dict[int, list[Reservation]] = {}
        self._again_at: float | None = None

    def nodes(self) -> Sequence[Node]:
        return self._fleet.nodes()

    def free(self) -> Resources:
        return self._fleet.free() + self._tenancies.lent()

    def counts(self, lease: Lease) -> bool:
        return isinstance(lease, Tenancy) and lease.lent is None and not lease.borrows

    def check(self, plan: Plan) -> None:
        if not self._fleet.waits_for_nodes:
            check_labels(plan, self.nodes())
            check_room(plan.request, self.nodes(), plan.name)

    def _lease(self, plan: Plan, find_room: FindRoom) -> Lease | None:
        request = plan.request
        lease: Lease | None = self._tenancies.borrow(request)
        if lease is not None:
            return lease
        try:
            lease = self._ask(request, find_room)
        except InfeasibleRequestError:  # on all nodes but those which are emptied
            if (lease := self._tenancies.borrow(request, where_drained=True)) is None:
                raise
        if lease is None and request in self._tenancies.in_vain:
            lease = self._tenancies.borrow(request, where_drained=True)  # its parent may wait there for nothing else
        return lease

    def _ask(self, request: Request, find_room: FindRoom) -> Lease | None:
        if request in self._tenancies.in_vain:
            return None
        lease = self._tenancies.rent(request)
        self._make_room(request, find_room)
        return lease

    def _make_room(self, request: Request, find_room: FindRoom) -> None:
        """Where it was asked for in vain, have something that is held without need given back; one at a time."""
        if request in self._tenancies.in_vain and not self._tenancies.releasing:
            find_room()

    def look_again(self, now: float) -> float | None:
        unwanted = self._tenancies.drop_unwanted(now)
        if not self._tenancies.in_vain:
            self._again_at = None
            return unwanted
        if self._again_at is None:
            self._again_at = now + _AGAIN_S
        elif now >= self._again_at:
            self._again_at = now + _AGAIN_S
            self._tenancies.hear_news()
            self._again()
        left = self._again_at - now
        return left if unwanted is None else min(left, unwanted)

    def was_freed(self) -> None:
        """What we have given back can be had again."""
        self._tenancies.releasing = max(0, self._tenancies.releasing - 1)
        self._tenancies.hear_news()

    def was_added(self) -> None:
        """There may be room that there was not before."""
        self._tenancies.hear_news()

    def lose(self, node: str) -> None:
        """A node is gone."""
        self._tenancies.lose(node)
        self._tenancies.hear_news()
        for bundles in self._bundles.values():
            bundles[:] = [LostBundle(one.node) if one.node.name == node else one for one in bundles]

    def leave_node(self, node: str) -> None:
        """A node is to be emptied."""
        self._tenancies.leave_node(node)

    def reserve_group(self, group: int, request: Request, find_room: FindRoom) -> bool:
        bundles = self._bundles_of(group, request, (), find_room)
        if bundles is None:
            return False
        self._bundles[group] = bundles
        return True

    def _bundles_of(
        self, group: int, request: Request, avoid: tuple[str, ...], find_room: FindRoom
    ) -> list[Bundle] | None:
        """Bundles for a group on nodes not in `avoid`, reserved until it is freed; None when there is no room now.

        Raises:
            InfeasibleRequestError: nor will there be.
        """
        if not self._fleet.waits_for_nodes:
            check_room(request, [node for node in self.nodes() if node.name not in avoid])
        if request in self._tenancies.in_vain:
            return None
        answer = self._tenancies.room(request, avoid=avoid)
        if answer is None or answer.reservation is None:
            self._make_room(request, find_room)
            return None
        reservation = answer.reservation
        self._groups.setdefault(group, []).append(reservation)
        return [
            Bundle(Node(node, bundle), None if shares is None else Devices.of_shares(shares))
            for node, bundle, shares in zip(
                reservation.nodes, request.bundles, self._fleet.shares(reservation), strict=True
            )
        ]

    def replace_lost(self, find_room: FindRoom) -> None:
        for group, bundles in self._bundles.items():
            lost = [one for one in bundles if isinstance(one, LostBundle)]
            if lost:
                self._replace(group, bundles, lost, find_room)

    def _replace(self, group: int, bundles: list[Bundle], lost: list[LostBundle], find_room: FindRoom) -> None:
        strategy = self._groups[group][0].request.strategy
        others = tuple(one.node.name for one in bundles if one not in lost)
        request = Request(tuple(one.node.capacity for one in lost), strategy)
        try:
            found = self._bundles_of(group, request, others if strategy == "STRICT_SPREAD" else (), find_room)
        except InfeasibleRequestError as error:
            self._tenancies.in_vain.add(request)  # a node that can hold it may join
            for one in lost:
                one.why_not_elsewhere = str(error)
            return
        if found is not None:
            instead = iter(found)
            bundles[:] = [next(instead) if one in lost else one for one in bundles]

    def close(self) -> None:
        """Ask for no more room."""
        self._tenancies.close()

    def free_group(self, group: int) -> None:
        del self._bundles[group]
        for reservation in self._groups.pop(group):
            self._tenancies.release(reservation)
