from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EnrolRequest(_message.Message):
    __slots__ = ("token", "request", "name")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    token: str
    request: bytes
    name: str
    def __init__(self, token: _Optional[str] = ..., request: _Optional[bytes] = ..., name: _Optional[str] = ...) -> None: ...

class RenewRequest(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: bytes
    def __init__(self, request: _Optional[bytes] = ...) -> None: ...

class Certified(_message.Message):
    __slots__ = ("certificate", "authority", "role", "cluster", "port")
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    certificate: bytes
    authority: bytes
    role: str
    cluster: str
    port: int
    def __init__(self, certificate: _Optional[bytes] = ..., authority: _Optional[bytes] = ..., role: _Optional[str] = ..., cluster: _Optional[str] = ..., port: _Optional[int] = ...) -> None: ...

class DiedRequest(_message.Message):
    __slots__ = ("incarnation",)
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    incarnation: str
    def __init__(self, incarnation: _Optional[str] = ...) -> None: ...

class DiedReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class InviteRequest(_message.Message):
    __slots__ = ("role",)
    ROLE_FIELD_NUMBER: _ClassVar[int]
    role: str
    def __init__(self, role: _Optional[str] = ...) -> None: ...

class InviteReply(_message.Message):
    __slots__ = ("token", "pin", "port")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    PIN_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    token: str
    pin: str
    port: int
    def __init__(self, token: _Optional[str] = ..., pin: _Optional[str] = ..., port: _Optional[int] = ...) -> None: ...

class Resources(_message.Message):
    __slots__ = ("units",)
    class UnitsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    UNITS_FIELD_NUMBER: _ClassVar[int]
    units: _containers.ScalarMap[str, int]
    def __init__(self, units: _Optional[_Mapping[str, int]] = ...) -> None: ...

class Request(_message.Message):
    __slots__ = ("bundles", "strategy", "gang")
    BUNDLES_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    GANG_FIELD_NUMBER: _ClassVar[int]
    bundles: _containers.RepeatedCompositeFieldContainer[Resources]
    strategy: str
    gang: bool
    def __init__(self, bundles: _Optional[_Iterable[_Union[Resources, _Mapping]]] = ..., strategy: _Optional[str] = ..., gang: _Optional[bool] = ...) -> None: ...

class Share(_message.Message):
    __slots__ = ("gpu", "units")
    GPU_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    gpu: str
    units: int
    def __init__(self, gpu: _Optional[str] = ..., units: _Optional[int] = ...) -> None: ...

class Shares(_message.Message):
    __slots__ = ("named", "shares")
    NAMED_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    named: bool
    shares: _containers.RepeatedCompositeFieldContainer[Share]
    def __init__(self, named: _Optional[bool] = ..., shares: _Optional[_Iterable[_Union[Share, _Mapping]]] = ...) -> None: ...

class Holding(_message.Message):
    __slots__ = ("reservation_id", "request", "nodes", "gpus")
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    GPUS_FIELD_NUMBER: _ClassVar[int]
    reservation_id: int
    request: Request
    nodes: _containers.RepeatedScalarFieldContainer[str]
    gpus: _containers.RepeatedCompositeFieldContainer[Shares]
    def __init__(self, reservation_id: _Optional[int] = ..., request: _Optional[_Union[Request, _Mapping]] = ..., nodes: _Optional[_Iterable[str]] = ..., gpus: _Optional[_Iterable[_Union[Shares, _Mapping]]] = ...) -> None: ...

class Versions(_message.Message):
    __slots__ = ("protocol", "python", "audition", "cloudpickle")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    PYTHON_FIELD_NUMBER: _ClassVar[int]
    AUDITION_FIELD_NUMBER: _ClassVar[int]
    CLOUDPICKLE_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    python: str
    audition: str
    cloudpickle: str
    def __init__(self, protocol: _Optional[int] = ..., python: _Optional[str] = ..., audition: _Optional[str] = ..., cloudpickle: _Optional[str] = ...) -> None: ...

class Node(_message.Message):
    __slots__ = ("name", "capacity", "gpus")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    GPUS_FIELD_NUMBER: _ClassVar[int]
    name: str
    capacity: Resources
    gpus: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., capacity: _Optional[_Union[Resources, _Mapping]] = ..., gpus: _Optional[_Iterable[str]] = ...) -> None: ...

class Sealed(_message.Message):
    __slots__ = ("parts",)
    PARTS_FIELD_NUMBER: _ClassVar[int]
    parts: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, parts: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Rank(_message.Message):
    __slots__ = ("number", "size", "local_number", "local_size")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    LOCAL_NUMBER_FIELD_NUMBER: _ClassVar[int]
    LOCAL_SIZE_FIELD_NUMBER: _ClassVar[int]
    number: int
    size: int
    local_number: int
    local_size: int
    def __init__(self, number: _Optional[int] = ..., size: _Optional[int] = ..., local_number: _Optional[int] = ..., local_size: _Optional[int] = ...) -> None: ...

class Parcel(_message.Message):
    __slots__ = ("driver", "node", "session", "first", "seen", "items", "over")
    DRIVER_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    SEEN_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    OVER_FIELD_NUMBER: _ClassVar[int]
    driver: str
    node: str
    session: str
    first: int
    seen: int
    items: _containers.RepeatedScalarFieldContainer[bytes]
    over: bool
    def __init__(self, driver: _Optional[str] = ..., node: _Optional[str] = ..., session: _Optional[str] = ..., first: _Optional[int] = ..., seen: _Optional[int] = ..., items: _Optional[_Iterable[bytes]] = ..., over: _Optional[bool] = ...) -> None: ...

class Beat(_message.Message):
    __slots__ = ("number",)
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    number: int
    def __init__(self, number: _Optional[int] = ...) -> None: ...

class AgentSays(_message.Message):
    __slots__ = ("messages",)
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[FromAgent]
    def __init__(self, messages: _Optional[_Iterable[_Union[FromAgent, _Mapping]]] = ...) -> None: ...

class AgentHears(_message.Message):
    __slots__ = ("messages",)
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[ToAgent]
    def __init__(self, messages: _Optional[_Iterable[_Union[ToAgent, _Mapping]]] = ...) -> None: ...

class FromAgent(_message.Message):
    __slots__ = ("hello", "beat", "parcel", "ended", "leaving", "gpus_lost")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    BEAT_FIELD_NUMBER: _ClassVar[int]
    PARCEL_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    LEAVING_FIELD_NUMBER: _ClassVar[int]
    GPUS_LOST_FIELD_NUMBER: _ClassVar[int]
    hello: AgentHello
    beat: Beat
    parcel: Parcel
    ended: SessionEnded
    leaving: Leaving
    gpus_lost: GpusLost
    def __init__(self, hello: _Optional[_Union[AgentHello, _Mapping]] = ..., beat: _Optional[_Union[Beat, _Mapping]] = ..., parcel: _Optional[_Union[Parcel, _Mapping]] = ..., ended: _Optional[_Union[SessionEnded, _Mapping]] = ..., leaving: _Optional[_Union[Leaving, _Mapping]] = ..., gpus_lost: _Optional[_Union[GpusLost, _Mapping]] = ...) -> None: ...

class AgentHello(_message.Message):
    __slots__ = ("cluster", "host", "incarnation", "name", "succeeds", "capacity", "gpus", "versions", "drivers", "highest_epoch", "drain")
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SUCCEEDS_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    GPUS_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    DRIVERS_FIELD_NUMBER: _ClassVar[int]
    HIGHEST_EPOCH_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    cluster: str
    host: str
    incarnation: str
    name: str
    succeeds: str
    capacity: Resources
    gpus: _containers.RepeatedScalarFieldContainer[str]
    versions: Versions
    drivers: _containers.RepeatedScalarFieldContainer[str]
    highest_epoch: int
    drain: Drain
    def __init__(self, cluster: _Optional[str] = ..., host: _Optional[str] = ..., incarnation: _Optional[str] = ..., name: _Optional[str] = ..., succeeds: _Optional[str] = ..., capacity: _Optional[_Union[Resources, _Mapping]] = ..., gpus: _Optional[_Iterable[str]] = ..., versions: _Optional[_Union[Versions, _Mapping]] = ..., drivers: _Optional[_Iterable[str]] = ..., highest_epoch: _Optional[int] = ..., drain: _Optional[_Union[Drain, _Mapping]] = ...) -> None: ...

class GpusLost(_message.Message):
    __slots__ = ("gpus",)
    GPUS_FIELD_NUMBER: _ClassVar[int]
    gpus: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, gpus: _Optional[_Iterable[str]] = ...) -> None: ...

class Leaving(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SessionEnded(_message.Message):
    __slots__ = ("driver",)
    DRIVER_FIELD_NUMBER: _ClassVar[int]
    driver: str
    def __init__(self, driver: _Optional[str] = ...) -> None: ...

class ToAgent(_message.Message):
    __slots__ = ("welcome", "beat", "parcel", "end", "back", "refused", "drain")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    BEAT_FIELD_NUMBER: _ClassVar[int]
    PARCEL_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    BACK_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    welcome: AgentWelcome
    beat: Beat
    parcel: Parcel
    end: EndSession
    back: DriverBack
    refused: Refused
    drain: Drain
    def __init__(self, welcome: _Optional[_Union[AgentWelcome, _Mapping]] = ..., beat: _Optional[_Union[Beat, _Mapping]] = ..., parcel: _Optional[_Union[Parcel, _Mapping]] = ..., end: _Optional[_Union[EndSession, _Mapping]] = ..., back: _Optional[_Union[DriverBack, _Mapping]] = ..., refused: _Optional[_Union[Refused, _Mapping]] = ..., drain: _Optional[_Union[Drain, _Mapping]] = ...) -> None: ...

class Drain(_message.Message):
    __slots__ = ("deadline_s",)
    DEADLINE_S_FIELD_NUMBER: _ClassVar[int]
    deadline_s: float
    def __init__(self, deadline_s: _Optional[float] = ...) -> None: ...

class AgentWelcome(_message.Message):
    __slots__ = ("cluster", "name", "epoch", "lease_s", "beat_s")
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    LEASE_S_FIELD_NUMBER: _ClassVar[int]
    BEAT_S_FIELD_NUMBER: _ClassVar[int]
    cluster: str
    name: str
    epoch: int
    lease_s: float
    beat_s: float
    def __init__(self, cluster: _Optional[str] = ..., name: _Optional[str] = ..., epoch: _Optional[int] = ..., lease_s: _Optional[float] = ..., beat_s: _Optional[float] = ...) -> None: ...

class EndSession(_message.Message):
    __slots__ = ("driver", "why")
    DRIVER_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    driver: str
    why: str
    def __init__(self, driver: _Optional[str] = ..., why: _Optional[str] = ...) -> None: ...

class DriverBack(_message.Message):
    __slots__ = ("driver",)
    DRIVER_FIELD_NUMBER: _ClassVar[int]
    driver: str
    def __init__(self, driver: _Optional[str] = ...) -> None: ...

class Refused(_message.Message):
    __slots__ = ("why", "for_good", "stopped")
    WHY_FIELD_NUMBER: _ClassVar[int]
    FOR_GOOD_FIELD_NUMBER: _ClassVar[int]
    STOPPED_FIELD_NUMBER: _ClassVar[int]
    why: str
    for_good: bool
    stopped: bool
    def __init__(self, why: _Optional[str] = ..., for_good: _Optional[bool] = ..., stopped: _Optional[bool] = ...) -> None: ...

class DriverSays(_message.Message):
    __slots__ = ("messages",)
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[FromDriver]
    def __init__(self, messages: _Optional[_Iterable[_Union[FromDriver, _Mapping]]] = ...) -> None: ...

class DriverHears(_message.Message):
    __slots__ = ("messages",)
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[ToDriver]
    def __init__(self, messages: _Optional[_Iterable[_Union[ToDriver, _Mapping]]] = ...) -> None: ...

class FromDriver(_message.Message):
    __slots__ = ("hello", "beat", "parcel", "ask", "give_back", "goodbye", "letter")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    BEAT_FIELD_NUMBER: _ClassVar[int]
    PARCEL_FIELD_NUMBER: _ClassVar[int]
    ASK_FIELD_NUMBER: _ClassVar[int]
    GIVE_BACK_FIELD_NUMBER: _ClassVar[int]
    GOODBYE_FIELD_NUMBER: _ClassVar[int]
    LETTER_FIELD_NUMBER: _ClassVar[int]
    hello: DriverHello
    beat: Beat
    parcel: Parcel
    ask: Ask
    give_back: GiveBack
    goodbye: Goodbye
    letter: Letter
    def __init__(self, hello: _Optional[_Union[DriverHello, _Mapping]] = ..., beat: _Optional[_Union[Beat, _Mapping]] = ..., parcel: _Optional[_Union[Parcel, _Mapping]] = ..., ask: _Optional[_Union[Ask, _Mapping]] = ..., give_back: _Optional[_Union[GiveBack, _Mapping]] = ..., goodbye: _Optional[_Union[Goodbye, _Mapping]] = ..., letter: _Optional[_Union[Letter, _Mapping]] = ...) -> None: ...

class DriverHello(_message.Message):
    __slots__ = ("driver", "owner", "experiment", "priority", "versions", "holdings", "nodes", "peers", "token")
    DRIVER_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    EXPERIMENT_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    HOLDINGS_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    PEERS_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    driver: str
    owner: str
    experiment: str
    priority: int
    versions: Versions
    holdings: _containers.RepeatedCompositeFieldContainer[Holding]
    nodes: _containers.RepeatedScalarFieldContainer[str]
    peers: _containers.RepeatedScalarFieldContainer[str]
    token: str
    def __init__(self, driver: _Optional[str] = ..., owner: _Optional[str] = ..., experiment: _Optional[str] = ..., priority: _Optional[int] = ..., versions: _Optional[_Union[Versions, _Mapping]] = ..., holdings: _Optional[_Iterable[_Union[Holding, _Mapping]]] = ..., nodes: _Optional[_Iterable[str]] = ..., peers: _Optional[_Iterable[str]] = ..., token: _Optional[str] = ...) -> None: ...

class Ask(_message.Message):
    __slots__ = ("number", "request", "avoid")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    AVOID_FIELD_NUMBER: _ClassVar[int]
    number: int
    request: Request
    avoid: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, number: _Optional[int] = ..., request: _Optional[_Union[Request, _Mapping]] = ..., avoid: _Optional[_Iterable[str]] = ...) -> None: ...

class GiveBack(_message.Message):
    __slots__ = ("reservation_id",)
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    reservation_id: int
    def __init__(self, reservation_id: _Optional[int] = ...) -> None: ...

class Goodbye(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ToDriver(_message.Message):
    __slots__ = ("welcome", "beat", "parcel", "answered", "joined", "lost", "back", "freed", "refused", "draining", "letter", "driver_back", "driver_left")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    BEAT_FIELD_NUMBER: _ClassVar[int]
    PARCEL_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_FIELD_NUMBER: _ClassVar[int]
    JOINED_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    BACK_FIELD_NUMBER: _ClassVar[int]
    FREED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    LETTER_FIELD_NUMBER: _ClassVar[int]
    DRIVER_BACK_FIELD_NUMBER: _ClassVar[int]
    DRIVER_LEFT_FIELD_NUMBER: _ClassVar[int]
    welcome: DriverWelcome
    beat: Beat
    parcel: Parcel
    answered: Answered
    joined: NodeJoined
    lost: NodeLost
    back: NodeBack
    freed: RoomFreed
    refused: Refused
    draining: NodeDraining
    letter: Letter
    driver_back: DriverBack
    driver_left: DriverLeft
    def __init__(self, welcome: _Optional[_Union[DriverWelcome, _Mapping]] = ..., beat: _Optional[_Union[Beat, _Mapping]] = ..., parcel: _Optional[_Union[Parcel, _Mapping]] = ..., answered: _Optional[_Union[Answered, _Mapping]] = ..., joined: _Optional[_Union[NodeJoined, _Mapping]] = ..., lost: _Optional[_Union[NodeLost, _Mapping]] = ..., back: _Optional[_Union[NodeBack, _Mapping]] = ..., freed: _Optional[_Union[RoomFreed, _Mapping]] = ..., refused: _Optional[_Union[Refused, _Mapping]] = ..., draining: _Optional[_Union[NodeDraining, _Mapping]] = ..., letter: _Optional[_Union[Letter, _Mapping]] = ..., driver_back: _Optional[_Union[DriverBack, _Mapping]] = ..., driver_left: _Optional[_Union[DriverLeft, _Mapping]] = ...) -> None: ...

class DriverWelcome(_message.Message):
    __slots__ = ("cluster", "epoch", "lease_s", "beat_s", "nodes", "lost", "draining")
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    LEASE_S_FIELD_NUMBER: _ClassVar[int]
    BEAT_S_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    cluster: str
    epoch: int
    lease_s: float
    beat_s: float
    nodes: _containers.RepeatedCompositeFieldContainer[Node]
    lost: _containers.RepeatedCompositeFieldContainer[NodeLost]
    draining: _containers.RepeatedCompositeFieldContainer[NodeDraining]
    def __init__(self, cluster: _Optional[str] = ..., epoch: _Optional[int] = ..., lease_s: _Optional[float] = ..., beat_s: _Optional[float] = ..., nodes: _Optional[_Iterable[_Union[Node, _Mapping]]] = ..., lost: _Optional[_Iterable[_Union[NodeLost, _Mapping]]] = ..., draining: _Optional[_Iterable[_Union[NodeDraining, _Mapping]]] = ...) -> None: ...

class Answered(_message.Message):
    __slots__ = ("number", "holding", "infeasible")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    HOLDING_FIELD_NUMBER: _ClassVar[int]
    INFEASIBLE_FIELD_NUMBER: _ClassVar[int]
    number: int
    holding: Holding
    infeasible: str
    def __init__(self, number: _Optional[int] = ..., holding: _Optional[_Union[Holding, _Mapping]] = ..., infeasible: _Optional[str] = ...) -> None: ...

class NodeJoined(_message.Message):
    __slots__ = ("node",)
    NODE_FIELD_NUMBER: _ClassVar[int]
    node: Node
    def __init__(self, node: _Optional[_Union[Node, _Mapping]] = ...) -> None: ...

class NodeLost(_message.Message):
    __slots__ = ("name", "why")
    NAME_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    name: str
    why: str
    def __init__(self, name: _Optional[str] = ..., why: _Optional[str] = ...) -> None: ...

class NodeBack(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class NodeDraining(_message.Message):
    __slots__ = ("name", "why")
    NAME_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    name: str
    why: str
    def __init__(self, name: _Optional[str] = ..., why: _Optional[str] = ...) -> None: ...

class RoomFreed(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Letter(_message.Message):
    __slots__ = ("sender", "reader", "first", "seen", "items", "session")
    SENDER_FIELD_NUMBER: _ClassVar[int]
    READER_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    SEEN_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    sender: str
    reader: str
    first: int
    seen: int
    items: _containers.RepeatedScalarFieldContainer[bytes]
    session: str
    def __init__(self, sender: _Optional[str] = ..., reader: _Optional[str] = ..., first: _Optional[int] = ..., seen: _Optional[int] = ..., items: _Optional[_Iterable[bytes]] = ..., session: _Optional[str] = ...) -> None: ...

class DriverLeft(_message.Message):
    __slots__ = ("driver",)
    DRIVER_FIELD_NUMBER: _ClassVar[int]
    driver: str
    def __init__(self, driver: _Optional[str] = ...) -> None: ...

class Order(_message.Message):
    __slots__ = ("prepare", "hold", "free", "begin", "answer", "cancel", "kill", "ask_stacks", "ask_meeting", "ask_packages", "ship", "employ", "post", "nudge", "dismiss", "preload", "open_depot", "neighbour", "discard", "missing", "fill", "send")
    PREPARE_FIELD_NUMBER: _ClassVar[int]
    HOLD_FIELD_NUMBER: _ClassVar[int]
    FREE_FIELD_NUMBER: _ClassVar[int]
    BEGIN_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    KILL_FIELD_NUMBER: _ClassVar[int]
    ASK_STACKS_FIELD_NUMBER: _ClassVar[int]
    ASK_MEETING_FIELD_NUMBER: _ClassVar[int]
    ASK_PACKAGES_FIELD_NUMBER: _ClassVar[int]
    SHIP_FIELD_NUMBER: _ClassVar[int]
    EMPLOY_FIELD_NUMBER: _ClassVar[int]
    POST_FIELD_NUMBER: _ClassVar[int]
    NUDGE_FIELD_NUMBER: _ClassVar[int]
    DISMISS_FIELD_NUMBER: _ClassVar[int]
    PRELOAD_FIELD_NUMBER: _ClassVar[int]
    OPEN_DEPOT_FIELD_NUMBER: _ClassVar[int]
    NEIGHBOUR_FIELD_NUMBER: _ClassVar[int]
    DISCARD_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    FILL_FIELD_NUMBER: _ClassVar[int]
    SEND_FIELD_NUMBER: _ClassVar[int]
    prepare: Prepare
    hold: Hold
    free: Free
    begin: Begin
    answer: Answer
    cancel: Cancel
    kill: Kill
    ask_stacks: AskStacks
    ask_meeting: AskMeeting
    ask_packages: AskPackages
    ship: Ship
    employ: Employ
    post: Post
    nudge: Nudge
    dismiss: Dismiss
    preload: Preload
    open_depot: OpenDepot
    neighbour: Neighbour
    discard: Discard
    missing: Missing
    fill: Fill
    send: Send
    def __init__(self, prepare: _Optional[_Union[Prepare, _Mapping]] = ..., hold: _Optional[_Union[Hold, _Mapping]] = ..., free: _Optional[_Union[Free, _Mapping]] = ..., begin: _Optional[_Union[Begin, _Mapping]] = ..., answer: _Optional[_Union[Answer, _Mapping]] = ..., cancel: _Optional[_Union[Cancel, _Mapping]] = ..., kill: _Optional[_Union[Kill, _Mapping]] = ..., ask_stacks: _Optional[_Union[AskStacks, _Mapping]] = ..., ask_meeting: _Optional[_Union[AskMeeting, _Mapping]] = ..., ask_packages: _Optional[_Union[AskPackages, _Mapping]] = ..., ship: _Optional[_Union[Ship, _Mapping]] = ..., employ: _Optional[_Union[Employ, _Mapping]] = ..., post: _Optional[_Union[Post, _Mapping]] = ..., nudge: _Optional[_Union[Nudge, _Mapping]] = ..., dismiss: _Optional[_Union[Dismiss, _Mapping]] = ..., preload: _Optional[_Union[Preload, _Mapping]] = ..., open_depot: _Optional[_Union[OpenDepot, _Mapping]] = ..., neighbour: _Optional[_Union[Neighbour, _Mapping]] = ..., discard: _Optional[_Union[Discard, _Mapping]] = ..., missing: _Optional[_Union[Missing, _Mapping]] = ..., fill: _Optional[_Union[Fill, _Mapping]] = ..., send: _Optional[_Union[Send, _Mapping]] = ...) -> None: ...

class Lines(_message.Message):
    __slots__ = ("lines",)
    LINES_FIELD_NUMBER: _ClassVar[int]
    lines: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, lines: _Optional[_Iterable[str]] = ...) -> None: ...

class Prepare(_message.Message):
    __slots__ = ("digest", "program", "preload", "environment", "path", "arguments", "folder", "sources", "modules", "package")
    class EnvironmentEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class SourcesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Lines
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Lines, _Mapping]] = ...) -> None: ...
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    PRELOAD_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    FOLDER_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    MODULES_FIELD_NUMBER: _ClassVar[int]
    PACKAGE_FIELD_NUMBER: _ClassVar[int]
    digest: str
    program: bytes
    preload: _containers.RepeatedScalarFieldContainer[str]
    environment: _containers.ScalarMap[str, str]
    path: _containers.RepeatedScalarFieldContainer[str]
    arguments: _containers.RepeatedScalarFieldContainer[str]
    folder: str
    sources: _containers.MessageMap[str, Lines]
    modules: _containers.RepeatedScalarFieldContainer[str]
    package: str
    def __init__(self, digest: _Optional[str] = ..., program: _Optional[bytes] = ..., preload: _Optional[_Iterable[str]] = ..., environment: _Optional[_Mapping[str, str]] = ..., path: _Optional[_Iterable[str]] = ..., arguments: _Optional[_Iterable[str]] = ..., folder: _Optional[str] = ..., sources: _Optional[_Mapping[str, Lines]] = ..., modules: _Optional[_Iterable[str]] = ..., package: _Optional[str] = ...) -> None: ...

class AskPackages(_message.Message):
    __slots__ = ("digests",)
    DIGESTS_FIELD_NUMBER: _ClassVar[int]
    digests: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, digests: _Optional[_Iterable[str]] = ...) -> None: ...

class Ship(_message.Message):
    __slots__ = ("digest", "content")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    digest: str
    content: bytes
    def __init__(self, digest: _Optional[str] = ..., content: _Optional[bytes] = ...) -> None: ...

class Bundle(_message.Message):
    __slots__ = ("number", "resources", "devices")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    number: int
    resources: Resources
    devices: str
    def __init__(self, number: _Optional[int] = ..., resources: _Optional[_Union[Resources, _Mapping]] = ..., devices: _Optional[str] = ...) -> None: ...

class Hold(_message.Message):
    __slots__ = ("reservation_id", "bundles")
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    BUNDLES_FIELD_NUMBER: _ClassVar[int]
    reservation_id: int
    bundles: _containers.RepeatedCompositeFieldContainer[Bundle]
    def __init__(self, reservation_id: _Optional[int] = ..., bundles: _Optional[_Iterable[_Union[Bundle, _Mapping]]] = ...) -> None: ...

class Free(_message.Message):
    __slots__ = ("reservation_id",)
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    reservation_id: int
    def __init__(self, reservation_id: _Optional[int] = ...) -> None: ...

class Begin(_message.Message):
    __slots__ = ("call_id", "reservation_id", "bundle", "digest", "argument", "seed", "fresh", "environment", "rank", "meeting_address", "meeting_port")
    class EnvironmentEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    ARGUMENT_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    FRESH_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    MEETING_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    MEETING_PORT_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    reservation_id: int
    bundle: int
    digest: str
    argument: Sealed
    seed: int
    fresh: bool
    environment: _containers.ScalarMap[str, str]
    rank: Rank
    meeting_address: str
    meeting_port: int
    def __init__(self, call_id: _Optional[str] = ..., reservation_id: _Optional[int] = ..., bundle: _Optional[int] = ..., digest: _Optional[str] = ..., argument: _Optional[_Union[Sealed, _Mapping]] = ..., seed: _Optional[int] = ..., fresh: _Optional[bool] = ..., environment: _Optional[_Mapping[str, str]] = ..., rank: _Optional[_Union[Rank, _Mapping]] = ..., meeting_address: _Optional[str] = ..., meeting_port: _Optional[int] = ...) -> None: ...

class Answer(_message.Message):
    __slots__ = ("call_id", "seq", "answer")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    seq: int
    answer: Sealed
    def __init__(self, call_id: _Optional[str] = ..., seq: _Optional[int] = ..., answer: _Optional[_Union[Sealed, _Mapping]] = ...) -> None: ...

class Cancel(_message.Message):
    __slots__ = ("call_id",)
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    def __init__(self, call_id: _Optional[str] = ...) -> None: ...

class Kill(_message.Message):
    __slots__ = ("call_id", "reason")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    reason: str
    def __init__(self, call_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class AskStacks(_message.Message):
    __slots__ = ("number", "call_id", "timeout_s")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_S_FIELD_NUMBER: _ClassVar[int]
    number: int
    call_id: str
    timeout_s: float
    def __init__(self, number: _Optional[int] = ..., call_id: _Optional[str] = ..., timeout_s: _Optional[float] = ...) -> None: ...

class AskMeeting(_message.Message):
    __slots__ = ("number",)
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    number: int
    def __init__(self, number: _Optional[int] = ...) -> None: ...

class Employ(_message.Message):
    __slots__ = ("call_id", "digest", "argument", "seed", "environment", "threads", "devices", "memory_bytes")
    class EnvironmentEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    ARGUMENT_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    THREADS_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    digest: str
    argument: Sealed
    seed: int
    environment: _containers.ScalarMap[str, str]
    threads: int
    devices: str
    memory_bytes: int
    def __init__(self, call_id: _Optional[str] = ..., digest: _Optional[str] = ..., argument: _Optional[_Union[Sealed, _Mapping]] = ..., seed: _Optional[int] = ..., environment: _Optional[_Mapping[str, str]] = ..., threads: _Optional[int] = ..., devices: _Optional[str] = ..., memory_bytes: _Optional[int] = ...) -> None: ...

class Post(_message.Message):
    __slots__ = ("call_id", "message")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    message: Sealed
    def __init__(self, call_id: _Optional[str] = ..., message: _Optional[_Union[Sealed, _Mapping]] = ...) -> None: ...

class Nudge(_message.Message):
    __slots__ = ("call_id", "word")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    WORD_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    word: int
    def __init__(self, call_id: _Optional[str] = ..., word: _Optional[int] = ...) -> None: ...

class Dismiss(_message.Message):
    __slots__ = ("call_id",)
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    def __init__(self, call_id: _Optional[str] = ...) -> None: ...

class Preload(_message.Message):
    __slots__ = ("digest", "modules")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    MODULES_FIELD_NUMBER: _ClassVar[int]
    digest: str
    modules: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, digest: _Optional[str] = ..., modules: _Optional[_Iterable[str]] = ...) -> None: ...

class Report(_message.Message):
    __slots__ = ("emitted", "returned", "raised", "died", "printed", "freed", "stacks", "meeting", "stocked", "depot_opened", "wanted", "copied", "piece", "allocated")
    EMITTED_FIELD_NUMBER: _ClassVar[int]
    RETURNED_FIELD_NUMBER: _ClassVar[int]
    RAISED_FIELD_NUMBER: _ClassVar[int]
    DIED_FIELD_NUMBER: _ClassVar[int]
    PRINTED_FIELD_NUMBER: _ClassVar[int]
    FREED_FIELD_NUMBER: _ClassVar[int]
    STACKS_FIELD_NUMBER: _ClassVar[int]
    MEETING_FIELD_NUMBER: _ClassVar[int]
    STOCKED_FIELD_NUMBER: _ClassVar[int]
    DEPOT_OPENED_FIELD_NUMBER: _ClassVar[int]
    WANTED_FIELD_NUMBER: _ClassVar[int]
    COPIED_FIELD_NUMBER: _ClassVar[int]
    PIECE_FIELD_NUMBER: _ClassVar[int]
    ALLOCATED_FIELD_NUMBER: _ClassVar[int]
    emitted: Emitted
    returned: Returned
    raised: Raised
    died: Died
    printed: Printed
    freed: Freed
    stacks: Stacks
    meeting: Meeting
    stocked: Stocked
    depot_opened: DepotOpened
    wanted: Wanted
    copied: Copied
    piece: Piece
    allocated: Allocated
    def __init__(self, emitted: _Optional[_Union[Emitted, _Mapping]] = ..., returned: _Optional[_Union[Returned, _Mapping]] = ..., raised: _Optional[_Union[Raised, _Mapping]] = ..., died: _Optional[_Union[Died, _Mapping]] = ..., printed: _Optional[_Union[Printed, _Mapping]] = ..., freed: _Optional[_Union[Freed, _Mapping]] = ..., stacks: _Optional[_Union[Stacks, _Mapping]] = ..., meeting: _Optional[_Union[Meeting, _Mapping]] = ..., stocked: _Optional[_Union[Stocked, _Mapping]] = ..., depot_opened: _Optional[_Union[DepotOpened, _Mapping]] = ..., wanted: _Optional[_Union[Wanted, _Mapping]] = ..., copied: _Optional[_Union[Copied, _Mapping]] = ..., piece: _Optional[_Union[Piece, _Mapping]] = ..., allocated: _Optional[_Union[Allocated, _Mapping]] = ...) -> None: ...

class Emitted(_message.Message):
    __slots__ = ("call_id", "seq", "payload", "waits")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    WAITS_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    seq: int
    payload: Sealed
    waits: bool
    def __init__(self, call_id: _Optional[str] = ..., seq: _Optional[int] = ..., payload: _Optional[_Union[Sealed, _Mapping]] = ..., waits: _Optional[bool] = ...) -> None: ...

class Returned(_message.Message):
    __slots__ = ("call_id", "value")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    value: Sealed
    def __init__(self, call_id: _Optional[str] = ..., value: _Optional[_Union[Sealed, _Mapping]] = ...) -> None: ...

class Raised(_message.Message):
    __slots__ = ("call_id", "type_name", "message", "traceback", "where", "log_tail", "rank", "unloaded")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_NAME_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    TRACEBACK_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    LOG_TAIL_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    UNLOADED_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    type_name: str
    message: str
    traceback: str
    where: str
    log_tail: str
    rank: int
    unloaded: bool
    def __init__(self, call_id: _Optional[str] = ..., type_name: _Optional[str] = ..., message: _Optional[str] = ..., traceback: _Optional[str] = ..., where: _Optional[str] = ..., log_tail: _Optional[str] = ..., rank: _Optional[int] = ..., unloaded: _Optional[bool] = ...) -> None: ...

class Stocked(_message.Message):
    __slots__ = ("missing", "problem")
    MISSING_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    missing: _containers.RepeatedScalarFieldContainer[str]
    problem: str
    def __init__(self, missing: _Optional[_Iterable[str]] = ..., problem: _Optional[str] = ...) -> None: ...

class MemoryUse(_message.Message):
    __slots__ = ("used_bytes", "allowed_bytes", "free_bytes")
    USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_BYTES_FIELD_NUMBER: _ClassVar[int]
    FREE_BYTES_FIELD_NUMBER: _ClassVar[int]
    used_bytes: int
    allowed_bytes: int
    free_bytes: int
    def __init__(self, used_bytes: _Optional[int] = ..., allowed_bytes: _Optional[int] = ..., free_bytes: _Optional[int] = ...) -> None: ...

class Died(_message.Message):
    __slots__ = ("call_id", "exit_code", "signal", "killed", "log_tail", "memory", "rank", "unstarted", "lost")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    KILLED_FIELD_NUMBER: _ClassVar[int]
    LOG_TAIL_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    UNSTARTED_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    exit_code: int
    signal: str
    killed: str
    log_tail: str
    memory: MemoryUse
    rank: int
    unstarted: str
    lost: str
    def __init__(self, call_id: _Optional[str] = ..., exit_code: _Optional[int] = ..., signal: _Optional[str] = ..., killed: _Optional[str] = ..., log_tail: _Optional[str] = ..., memory: _Optional[_Union[MemoryUse, _Mapping]] = ..., rank: _Optional[int] = ..., unstarted: _Optional[str] = ..., lost: _Optional[str] = ...) -> None: ...

class Printed(_message.Message):
    __slots__ = ("call_id", "text")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    text: bytes
    def __init__(self, call_id: _Optional[str] = ..., text: _Optional[bytes] = ...) -> None: ...

class Freed(_message.Message):
    __slots__ = ("reservation_id",)
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    reservation_id: int
    def __init__(self, reservation_id: _Optional[int] = ...) -> None: ...

class Stacks(_message.Message):
    __slots__ = ("number", "text")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    number: int
    text: str
    def __init__(self, number: _Optional[int] = ..., text: _Optional[str] = ...) -> None: ...

class Meeting(_message.Message):
    __slots__ = ("number", "address", "port")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    number: int
    address: str
    port: int
    def __init__(self, number: _Optional[int] = ..., address: _Optional[str] = ..., port: _Optional[int] = ...) -> None: ...

class OpenDepot(_message.Message):
    __slots__ = ("name", "certificate", "key", "store_bytes")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    STORE_BYTES_FIELD_NUMBER: _ClassVar[int]
    name: str
    certificate: bytes
    key: bytes
    store_bytes: int
    def __init__(self, name: _Optional[str] = ..., certificate: _Optional[bytes] = ..., key: _Optional[bytes] = ..., store_bytes: _Optional[int] = ...) -> None: ...

class Neighbour(_message.Message):
    __slots__ = ("name", "address", "port")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    name: str
    address: str
    port: int
    def __init__(self, name: _Optional[str] = ..., address: _Optional[str] = ..., port: _Optional[int] = ...) -> None: ...

class Discard(_message.Message):
    __slots__ = ("home", "segment")
    HOME_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    home: str
    segment: int
    def __init__(self, home: _Optional[str] = ..., segment: _Optional[int] = ...) -> None: ...

class Missing(_message.Message):
    __slots__ = ("home", "segment", "why")
    HOME_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    home: str
    segment: int
    why: str
    def __init__(self, home: _Optional[str] = ..., segment: _Optional[int] = ..., why: _Optional[str] = ...) -> None: ...

class DepotOpened(_message.Message):
    __slots__ = ("address", "port")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    address: str
    port: int
    def __init__(self, address: _Optional[str] = ..., port: _Optional[int] = ...) -> None: ...

class Wanted(_message.Message):
    __slots__ = ("home", "segment", "size", "why", "offset")
    HOME_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    home: str
    segment: int
    size: int
    why: str
    offset: int
    def __init__(self, home: _Optional[str] = ..., segment: _Optional[int] = ..., size: _Optional[int] = ..., why: _Optional[str] = ..., offset: _Optional[int] = ...) -> None: ...

class Fill(_message.Message):
    __slots__ = ("home", "segment", "offset", "content")
    HOME_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    home: str
    segment: int
    offset: int
    content: bytes
    def __init__(self, home: _Optional[str] = ..., segment: _Optional[int] = ..., offset: _Optional[int] = ..., content: _Optional[bytes] = ...) -> None: ...

class Send(_message.Message):
    __slots__ = ("home", "segment", "offset")
    HOME_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    home: str
    segment: int
    offset: int
    def __init__(self, home: _Optional[str] = ..., segment: _Optional[int] = ..., offset: _Optional[int] = ...) -> None: ...

class Piece(_message.Message):
    __slots__ = ("home", "segment", "offset", "content")
    HOME_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    home: str
    segment: int
    offset: int
    content: bytes
    def __init__(self, home: _Optional[str] = ..., segment: _Optional[int] = ..., offset: _Optional[int] = ..., content: _Optional[bytes] = ...) -> None: ...

class Copied(_message.Message):
    __slots__ = ("home", "segment")
    HOME_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    home: str
    segment: int
    def __init__(self, home: _Optional[str] = ..., segment: _Optional[int] = ...) -> None: ...

class Allocated(_message.Message):
    __slots__ = ("call_id", "segment")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    call_id: str
    segment: int
    def __init__(self, call_id: _Optional[str] = ..., segment: _Optional[int] = ...) -> None: ...

class StatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StatusReply(_message.Message):
    __slots__ = ("cluster", "epoch", "up_s", "nodes", "drivers", "controllers")
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    UP_S_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    DRIVERS_FIELD_NUMBER: _ClassVar[int]
    CONTROLLERS_FIELD_NUMBER: _ClassVar[int]
    cluster: str
    epoch: int
    up_s: float
    nodes: _containers.RepeatedCompositeFieldContainer[NodeStatus]
    drivers: _containers.RepeatedCompositeFieldContainer[DriverStatus]
    controllers: _containers.RepeatedCompositeFieldContainer[ControllerStatus]
    def __init__(self, cluster: _Optional[str] = ..., epoch: _Optional[int] = ..., up_s: _Optional[float] = ..., nodes: _Optional[_Iterable[_Union[NodeStatus, _Mapping]]] = ..., drivers: _Optional[_Iterable[_Union[DriverStatus, _Mapping]]] = ..., controllers: _Optional[_Iterable[_Union[ControllerStatus, _Mapping]]] = ...) -> None: ...

class ControllerStatus(_message.Message):
    __slots__ = ("name", "owner", "state", "why", "place", "created", "pid", "actors")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    ACTORS_FIELD_NUMBER: _ClassVar[int]
    name: str
    owner: str
    state: str
    why: str
    place: str
    created: float
    pid: int
    actors: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., owner: _Optional[str] = ..., state: _Optional[str] = ..., why: _Optional[str] = ..., place: _Optional[str] = ..., created: _Optional[float] = ..., pid: _Optional[int] = ..., actors: _Optional[_Iterable[str]] = ...) -> None: ...

class NodeStatus(_message.Message):
    __slots__ = ("name", "state", "capacity", "free", "silent_s", "reservations", "gpus_lost")
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    FREE_FIELD_NUMBER: _ClassVar[int]
    SILENT_S_FIELD_NUMBER: _ClassVar[int]
    RESERVATIONS_FIELD_NUMBER: _ClassVar[int]
    GPUS_LOST_FIELD_NUMBER: _ClassVar[int]
    name: str
    state: str
    capacity: Resources
    free: Resources
    silent_s: float
    reservations: int
    gpus_lost: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., state: _Optional[str] = ..., capacity: _Optional[_Union[Resources, _Mapping]] = ..., free: _Optional[_Union[Resources, _Mapping]] = ..., silent_s: _Optional[float] = ..., reservations: _Optional[int] = ..., gpus_lost: _Optional[_Iterable[str]] = ...) -> None: ...

class DriverStatus(_message.Message):
    __slots__ = ("driver", "owner", "experiment", "priority", "reservations", "holds", "connected", "waits_for")
    DRIVER_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    EXPERIMENT_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    RESERVATIONS_FIELD_NUMBER: _ClassVar[int]
    HOLDS_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_FIELD_NUMBER: _ClassVar[int]
    WAITS_FOR_FIELD_NUMBER: _ClassVar[int]
    driver: str
    owner: str
    experiment: str
    priority: int
    reservations: int
    holds: Resources
    connected: bool
    waits_for: str
    def __init__(self, driver: _Optional[str] = ..., owner: _Optional[str] = ..., experiment: _Optional[str] = ..., priority: _Optional[int] = ..., reservations: _Optional[int] = ..., holds: _Optional[_Union[Resources, _Mapping]] = ..., connected: _Optional[bool] = ..., waits_for: _Optional[str] = ...) -> None: ...

class DrainRequest(_message.Message):
    __slots__ = ("node", "deadline_s")
    NODE_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_S_FIELD_NUMBER: _ClassVar[int]
    node: str
    deadline_s: float
    def __init__(self, node: _Optional[str] = ..., deadline_s: _Optional[float] = ...) -> None: ...

class DrainReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SubmitRequest(_message.Message):
    __slots__ = ("name", "owner", "content", "again")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    AGAIN_FIELD_NUMBER: _ClassVar[int]
    name: str
    owner: str
    content: bytes
    again: bool
    def __init__(self, name: _Optional[str] = ..., owner: _Optional[str] = ..., content: _Optional[bytes] = ..., again: _Optional[bool] = ...) -> None: ...

class SubmitReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class EndRequest(_message.Message):
    __slots__ = ("name", "who")
    NAME_FIELD_NUMBER: _ClassVar[int]
    WHO_FIELD_NUMBER: _ClassVar[int]
    name: str
    who: str
    def __init__(self, name: _Optional[str] = ..., who: _Optional[str] = ...) -> None: ...

class EndReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ForgetRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ForgetReply(_message.Message):
    __slots__ = ("place",)
    PLACE_FIELD_NUMBER: _ClassVar[int]
    place: str
    def __init__(self, place: _Optional[str] = ...) -> None: ...

class StopRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StopReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
