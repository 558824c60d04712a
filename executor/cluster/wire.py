"""Our values as protobuf messages, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, assert_never

from executor.cluster.protos import cluster as pb
from executor.devices import Shares
from executor.framing import Sealed
from executor.holdings import Holding
from executor.hosting import messages as hosting
from executor.hosting.packages import Package
from executor.messages import (
    DeathCause,
    Died,
    Emitted,
    MemoryUse,
    Raised,
    Rank,
    RemoteError,
    Reservation,
    Returned,
)
from executor.resources import Node, Request, Resources


def encode_order(order: hosting.Order) -> bytes:
    """An order on its way to a node."""
    return _order(order).SerializeToString()


def _order(order: hosting.Order) -> pb.Order:
    match order:
        case hosting.Answer(call_id, seq, answer):
            return pb.Order(answer=pb.Answer(call_id=call_id, seq=seq, answer=_sealed(answer)))
        case hosting.Begin():
            return pb.Order(begin=_begin(order))
        case hosting.Prepare():
            return pb.Order(prepare=_prepare(order))
        case hosting.Hold(number, bundles):
            return pb.Order(hold=pb.Hold(reservation_id=number, bundles=map(_bundle, bundles)))
        case hosting.Free(number):
            return pb.Order(free=pb.Free(reservation_id=number))
        case hosting.Cancel(call_id):
            return pb.Order(cancel=pb.Cancel(call_id=call_id))
        case hosting.Kill(call_id, reason):
            return pb.Order(kill=pb.Kill(call_id=call_id, reason=reason))
        case _:
            return _order_beside(order)


def _order_beside(
    order: hosting.AskStacks
    | hosting.AskMeeting
    | hosting.AskPackages
    | hosting.Ship
    | hosting.Employing
    | hosting.Keeping,
) -> pb.Order:
    """What is about no trial's life."""
    match order:
        case hosting.AskStacks(number, call_id, timeout_s):
            return pb.Order(ask_stacks=pb.AskStacks(number=number, call_id=call_id, timeout_s=timeout_s))
        case hosting.AskMeeting(number):
            return pb.Order(ask_meeting=pb.AskMeeting(number=number))
        case hosting.AskPackages(digests):
            return pb.Order(ask_packages=pb.AskPackages(digests=digests))
        case hosting.Ship(package):
            return pb.Order(ship=pb.Ship(digest=package.digest, content=package.content))
        case _:
            return _employing(order)


def _employing(order: hosting.Employing | hosting.Keeping) -> pb.Order:
    match order:
        case hosting.Post(call_id, message):
            return pb.Order(post=pb.Post(call_id=call_id, message=_sealed(message)))
        case hosting.Nudge(call_id, word):
            return pb.Order(nudge=pb.Nudge(call_id=call_id, word=word))
        case hosting.Employ():
            told = {one.name: getattr(order, one.name) for one in fields(order)}
            return pb.Order(employ=pb.Employ(**{**told, "argument": _sealed(order.argument)}))
        case hosting.Dismiss(call_id):
            return pb.Order(dismiss=pb.Dismiss(call_id=call_id))
        case hosting.Preload(digest, modules):
            return pb.Order(preload=pb.Preload(digest=digest, modules=modules))
        case _:
            return _keeping(order)


def _keeping(order: hosting.Keeping) -> pb.Order:
    told = {one.name: getattr(order, one.name) for one in fields(order)}
    match order:
        case hosting.OpenDepot():
            return pb.Order(open_depot=pb.OpenDepot(**told))
        case hosting.Neighbour():
            return pb.Order(neighbour=pb.Neighbour(**told))
        case hosting.Discard():
            return pb.Order(discard=pb.Discard(**told))
        case hosting.Missing():
            return pb.Order(missing=pb.Missing(**{**told, "why": _text(order.why)}))
        case hosting.Fill():
            return pb.Order(fill=pb.Fill(**told))
        case hosting.Send():
            return pb.Order(send=pb.Send(**told))
        case _:
            assert_never(order)


def decode_order(data: bytes) -> hosting.Order:
    """What `encode_order` made.

    Raises:
        ValueError: it is nothing of the kind.
    """
    order = pb.Order.FromString(data)
    match order.WhichOneof("what"):
        case "answer":
            return hosting.Answer(order.answer.call_id, order.answer.seq, _unsealed(order.answer.answer))
        case "begin":
            return _begun(order.begin)
        case "prepare":
            return _prepared(order.prepare)
        case "hold":
            return hosting.Hold(order.hold.reservation_id, tuple(map(_bundled, order.hold.bundles)))
        case "free":
            return hosting.Free(order.free.reservation_id)
        case "cancel":
            return hosting.Cancel(order.cancel.call_id)
        case "kill":
            return hosting.Kill(order.kill.call_id, order.kill.reason)
        case _:
            return _decoded_beside(order)


def _decoded_beside(order: pb.Order) -> hosting.Order:
    match order.WhichOneof("what"):
        case "ask_stacks":
            asked = order.ask_stacks
            return hosting.AskStacks(asked.number, asked.call_id, asked.timeout_s)
        case "ask_meeting":
            return hosting.AskMeeting(order.ask_meeting.number)
        case "ask_packages":
            return hosting.AskPackages(tuple(order.ask_packages.digests))
        case "ship":
            return hosting.Ship(Package(order.ship.digest, order.ship.content))
        case _:
            return _employed(order)


def _employed(order: pb.Order) -> hosting.Order:
    match order.WhichOneof("what"):
        case "post":
            return hosting.Post(order.post.call_id, _unsealed(order.post.message))
        case "nudge":
            return hosting.Nudge(order.nudge.call_id, order.nudge.word)
        case "employ":
            employ = order.employ
            return hosting.Employ(
                employ.call_id,
                employ.digest,
                _unsealed(employ.argument),
                employ.seed,
                dict(employ.environment),
                employ.threads,
                employ.devices if employ.HasField("devices") else None,
                employ.memory_bytes,
            )
        case "dismiss":
            return hosting.Dismiss(order.dismiss.call_id)
        case "preload":
            return hosting.Preload(order.preload.digest, tuple(order.preload.modules))
        case _:
            return _kept(order)


def _kept(order: pb.Order) -> hosting.Order:
    match order.WhichOneof("what"):
        case "open_depot":
            asked = order.open_depot
            return hosting.OpenDepot(asked.name, asked.certificate, asked.key, asked.store_bytes)
        case "neighbour":
            return hosting.Neighbour(order.neighbour.name, order.neighbour.address, order.neighbour.port)
        case "discard":
            return hosting.Discard(order.discard.home, order.discard.segment)
        case "missing":
            return hosting.Missing(order.missing.home, order.missing.segment, order.missing.why)
        case "fill":
            return hosting.Fill(order.fill.home, order.fill.segment, order.fill.offset, order.fill.content)
        case "send":
            return hosting.Send(order.send.home, order.send.segment, order.send.offset)
        case _:
            raise ValueError("an order of a kind that is not known here: driver and node differ in their version")


def encode_report(report: hosting.Report) -> bytes:
    """A report on its way to a driver."""
    return _report(report).SerializeToString()


def _report(report: hosting.Report) -> pb.Report:
    match report:
        case Emitted(call_id, seq, payload, waits):
            return pb.Report(emitted=pb.Emitted(call_id=call_id, seq=seq, payload=_sealed(payload), waits=waits))
        case Returned(call_id, value):
            return pb.Report(returned=pb.Returned(call_id=call_id, value=_sealed(value)))
        case Raised(call_id, error):
            return pb.Report(raised=pb.Raised(call_id=call_id, **_texts(error)))
        case Died(call_id, cause):
            return pb.Report(died=_died(call_id, cause))
        case hosting.Printed(call_id, text):
            return pb.Report(printed=pb.Printed(call_id=call_id, text=text))
        case hosting.Freed(number):
            return pb.Report(freed=pb.Freed(reservation_id=number))
        case hosting.Stacks(number, text):
            return pb.Report(stacks=pb.Stacks(number=number, text=_text(text)))
        case hosting.Meeting(number, address, port):
            return pb.Report(meeting=pb.Meeting(number=number, address=address, port=port))
        case hosting.Stocked(missing, problem):
            return pb.Report(stocked=pb.Stocked(missing=missing, problem=_text(problem)))
        case _:
            return _report_of_objects(report)


def _report_of_objects(report: hosting.Kept) -> pb.Report:
    match report:
        case hosting.DepotOpened(address, port):
            return pb.Report(depot_opened=pb.DepotOpened(address=address, port=port))
        case hosting.Wanted(home, segment, size, why, offset):
            wanted = pb.Wanted(home=home, segment=segment, size=size, why=_text(why), offset=offset)
            return pb.Report(wanted=wanted)
        case hosting.Piece(home, segment, offset, content):
            return pb.Report(piece=pb.Piece(home=home, segment=segment, offset=offset, content=content))
        case hosting.Copied(home, segment):
            return pb.Report(copied=pb.Copied(home=home, segment=segment))
        case hosting.Allocated(call_id, segment):
            return pb.Report(allocated=pb.Allocated(call_id=call_id, segment=segment))
        case _:
            assert_never(report)


def decode_report(data: bytes) -> hosting.Report:
    """What `encode_report` made.

    Raises:
        ValueError: it is nothing of the kind.
    """
    report = pb.Report.FromString(data)
    match report.WhichOneof("what"):
        case "emitted":
            told = report.emitted
            return Emitted(told.call_id, told.seq, _unsealed(told.payload), told.waits)
        case "returned":
            return Returned(report.returned.call_id, _unsealed(report.returned.value))
        case "raised":
            return Raised(report.raised.call_id, RemoteError(**_given(report.raised, RemoteError)))
        case "died":
            return Died(report.died.call_id, _cause(report.died))
        case "printed":
            return hosting.Printed(report.printed.call_id, report.printed.text)
        case "freed":
            return hosting.Freed(report.freed.reservation_id)
        case "stacks":
            return hosting.Stacks(report.stacks.number, report.stacks.text)
        case "meeting":
            return hosting.Meeting(report.meeting.number, report.meeting.address, report.meeting.port)
        case "stocked":
            return hosting.Stocked(tuple(report.stocked.missing), report.stocked.problem)
        case _:
            return _told_of_objects(report)


def _told_of_objects(report: pb.Report) -> hosting.Report:
    match report.WhichOneof("what"):
        case "depot_opened":
            return hosting.DepotOpened(report.depot_opened.address, report.depot_opened.port)
        case "wanted":
            wanted = report.wanted
            return hosting.Wanted(wanted.home, wanted.segment, wanted.size, wanted.why, wanted.offset)
        case "piece":
            piece = report.piece
            return hosting.Piece(piece.home, piece.segment, piece.offset, piece.content)
        case "copied":
            return hosting.Copied(report.copied.home, report.copied.segment)
        case "allocated":
            return hosting.Allocated(report.allocated.call_id, report.allocated.segment)
        case _:
            raise ValueError("a report of a kind that is not known here: driver and node differ in their version")


def _text(text: str) -> str:
    """`text` as protobuf takes it: file names and messages may hold halves of characters."""
    return text.encode(errors="backslashreplace").decode()


def _texts(value: Any) -> dict[str, Any]:
    """The fields of a flat value that are set."""
    found = {field.name: getattr(value, field.name) for field in fields(value)}
    return {name: _text(one) if isinstance(one, str) else one for name, one in found.items() if one not in (None, "")}


def _given(message: Any, kind: type[Any]) -> dict[str, Any]:
    """The fields of a flat message that are set, as far as `kind` has them."""
    names = {field.name for field in fields(kind)}
    return {field.name: value for field, value in message.ListFields() if field.name in names}


def _died(call_id: str, cause: DeathCause) -> pb.Died:
    told = _texts(cause)
    if cause.memory is not None:
        told["memory"] = pb.MemoryUse(**_texts(cause.memory))
    return pb.Died(call_id=call_id, **told)


def _cause(died: pb.Died) -> DeathCause:
    told = _given(died, DeathCause)
    if "memory" in told:
        memory = died.memory
        allowed = memory.allowed_bytes if memory.HasField("allowed_bytes") else None
        told["memory"] = MemoryUse(memory.used_bytes, allowed, memory.free_bytes)
    return DeathCause(**told)


def _sealed(sealed: Sealed) -> pb.Sealed:
    return pb.Sealed(parts=map(bytes, sealed.parts))


def _unsealed(sealed: pb.Sealed) -> Sealed:
    if not sealed.parts:
        raise ValueError("a value without a content")
    return Sealed(tuple(sealed.parts))


def _begin(order: hosting.Begin) -> pb.Begin:
    address, port = order.meeting or ("", 0)
    rank = None if order.rank is None else pb.Rank(**{one.name: getattr(order.rank, one.name) for one in fields(Rank)})
    return pb.Begin(
        call_id=order.call_id,
        reservation_id=order.reservation_id,
        bundle=order.bundle,
        digest=order.digest,
        argument=_sealed(order.argument),
        seed=order.seed,
        fresh=order.fresh,
        environment=order.environment,
        rank=rank,
        meeting_address=address,
        meeting_port=port,
    )


def _begun(begin: pb.Begin) -> hosting.Begin:
    rank = begin.rank
    return hosting.Begin(
        begin.call_id,
        begin.reservation_id,
        begin.bundle,
        begin.digest,
        _unsealed(begin.argument),
        begin.seed,
        begin.fresh,
        dict(begin.environment),
        Rank(rank.number, rank.size, rank.local_number, rank.local_size) if begin.HasField("rank") else None,
        (begin.meeting_address, begin.meeting_port) if begin.meeting_port else None,
    )


def _prepare(order: hosting.Prepare) -> pb.Prepare:
    around = order.surroundings
    return pb.Prepare(
        digest=order.digest,
        program=order.program,
        preload=order.preload,
        environment=order.environment,
        path=map(_text, around.path),
        arguments=map(_text, around.arguments),
        folder=_text(around.folder),
        sources={_text(name): pb.Lines(lines=map(_text, lines)) for name, lines in around.sources.items()},
        modules=order.modules,
        package=order.folder,
    )


def _prepared(prepare: pb.Prepare) -> hosting.Prepare:
    around = hosting.Surroundings(
        tuple(prepare.path),
        tuple(prepare.arguments),
        prepare.folder,
        {name: list(lines.lines) for name, lines in prepare.sources.items()},
    )
    return hosting.Prepare(
        prepare.digest,
        prepare.program,
        tuple(prepare.preload),
        dict(prepare.environment),
        around,
        tuple(prepare.modules),
        prepare.package,
    )


def _bundle(bundle: hosting.Bundle) -> pb.Bundle:
    return pb.Bundle(number=bundle.number, resources=resources(bundle.resources), devices=bundle.devices)


def _bundled(bundle: pb.Bundle) -> hosting.Bundle:
    devices = bundle.devices if bundle.HasField("devices") else None
    return hosting.Bundle(bundle.number, resources_of(bundle.resources), devices)


def resources(amounts: Resources) -> pb.Resources:
    """Amounts as a message."""
    return pb.Resources(units=amounts.units())


def resources_of(message: pb.Resources) -> Resources:
    """Amounts from a message.

    Raises:
        ValueError: one is negative.
    """
    units: Mapping[str, int] = message.units
    if any(count < 0 for count in units.values()):
        raise ValueError(f"amounts of resources must be at least 0, got {dict(units)}")
    return Resources.of_units(units)


def node(value: Node, gpus: tuple[str, ...]) -> pb.Node:
    """A node and its gpus as a message."""
    return pb.Node(name=value.name, capacity=resources(value.capacity), gpus=gpus)


def request(value: Request) -> pb.Request:
    """A request as a message."""
    return pb.Request(bundles=map(resources, value.bundles), strategy=value.strategy, gang=value.gang)


def request_of(message: pb.Request) -> Request:
    """A request from a message.

    Raises:
        ValueError: it is none.
    """
    return Request(tuple(map(resources_of, message.bundles)), message.strategy, message.gang)


def holding(value: Holding) -> pb.Holding:
    """A reservation and its gpus as a message."""
    reservation = value.reservation
    return pb.Holding(
        reservation_id=reservation.reservation_id,
        request=request(reservation.request),
        nodes=reservation.nodes,
        gpus=map(_shares, value.gpus),
    )


def holding_of(message: pb.Holding) -> Holding:
    """A reservation and its gpus from a message.

    Raises:
        ValueError: it is none.
    """
    asked = request_of(message.request)
    if not len(asked.bundles) == len(message.nodes) == len(message.gpus):
        raise ValueError("a reservation must have a node and gpus for each bundle")
    reservation = Reservation(message.reservation_id, asked, tuple(message.nodes))
    return Holding(reservation, tuple(map(_shares_of, message.gpus)))


def _shares(shares: Shares | None) -> pb.Shares:
    if shares is None:
        return pb.Shares()
    return pb.Shares(named=True, shares=[pb.Share(gpu=gpu, units=units) for gpu, units in shares])


def _shares_of(message: pb.Shares) -> Shares | None:
    return tuple((one.gpu, one.units) for one in message.shares) if message.named else None
