"""What can be set, with which bounds and which defaults? One Struct for each table of the file, and `Settings` for all.

How they are read, and what they mean together, is in `config`.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from stui_sessiond.log_level import LogLevel
from stui_sessiond.logs import LogFormat

Positive = Annotated[float, Meta(gt=0, le=100 * 365 * 86400)]
Quantity = Annotated[int, Meta(ge=1)]


class ServerSettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """[server]: where things are and who may come in."""

    data_dir: str | None = None
    runtime_dir: str | None = None
    http: str | None = None
    lines: str | None = None
    unix: str | None = None
    auth: Literal["none", "token"] = "token"
    ready_file: str | None = None
    log_format: LogFormat = "console"
    log_level: LogLevel = "info"
    log_file: str | None = None
    drain_timeout: Annotated[float, Meta(ge=0)] = 10.0
    drain_delay: Annotated[float, Meta(ge=0)] = 0.0


class TlsSettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """[tls]: TLS 1.3 for the listeners on TCP and HTTP. Files in PEM; with `client_ca` peers show certificates too.

    The key is a file, or a credential of the service manager by its name.
    """

    certificate: str | None = None
    key: str | None = None
    key_credential: str | None = None
    client_ca: str | None = None


class SessionSettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """[sessions]: durations in seconds."""

    max_per_client: Quantity = 5
    default_timeout: Positive = 3600.0
    max_timeout: Positive = 30 * 86400.0
    max_bytes: Quantity = 10_000_000
    retention: Positive = 30 * 86400.0
    cleanup_interval: Positive = 300.0
    autosave_interval: Positive = 300.0


class HistorySettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """[history]: what is kept of a session's past; `age` in seconds."""

    versions: Quantity = 100
    bytes: Quantity = 256 * 1024
    age: Positive = 30 * 86400.0


class EventSettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """[events]: what is kept of what happened to a session; `age` in seconds."""

    count: Quantity = 1000
    bytes: Quantity = 512 * 1024
    age: Positive = 7 * 86400.0


class BackupSettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """[backups]: seconds between automatic ones; 0 turns them off."""

    interval: Annotated[float, Meta(ge=0)] = 3600.0


class ImageSettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """[images]: durations in seconds. With `close_orphaned_after` 0, orphaned sessions stay as they are."""

    probe: bool = True
    grace: Positive = 300.0
    close_orphaned_after: Annotated[float, Meta(ge=0)] = 0.0


class EncryptionSettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """[encryption]: where the master key comes from, at most one of the first three; without one all is clear text.

    `previous_key_files` are keys that are still needed to read.
    """

    key_file: str | None = None
    key_credential: str | None = None
    keyring: str | None = None
    previous_key_files: list[str] = []


class AuditSettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """[audit]: what is kept of the log of operations that matter for security; `age` in seconds."""

    bytes: Annotated[int, Meta(ge=16 * 1024 * 1024)] = 256 * 1024 * 1024
    age: Positive = 400 * 86400.0


class LimitSettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """[limits]: what a connection may do; durations in seconds. The defaults are for strangers."""

    client_message_bytes: Quantity = 10_000_000
    image_message_bytes: Quantity = 10_000_000
    max_connections: Quantity = 1024
    connections_per_token: Quantity = 32
    unauthenticated: Quantity = 64
    unauthenticated_per_address: Quantity = 8
    failed_authentications: Quantity = 5
    handshake_timeout: Positive = 10.0
    hello_timeout: Positive = 5.0
    message_timeout: Positive = 10.0
    requests_in_flight: Quantity = 64
    evaluations_in_flight: Quantity = 32
    subscriptions: Quantity = 128


class QuotaSettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """[quotas]: for everybody with a token; 0 per second: without bound."""

    requests_per_second: Annotated[float, Meta(ge=0)] = 50.0
    requests_burst: Quantity = 100
    evaluations_per_second: Annotated[float, Meta(ge=0)] = 10.0
    evaluations_burst: Quantity = 20
    client_bytes: Quantity = 100_000_000


class PolicySettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """[policy]: regular expressions that are searched in code; `ask` waits for approval; clients as in [access]."""

    forbid: list[str] = []
    ask: list[str] = []
    ask_clients: list[str] = []


class AccessSettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """[access]: names may have `*` and `?`; what is denied wins; an empty list of allowed ones allows all."""

    clients_allow: list[str] = []
    clients_deny: list[str] = []
    images_allow: list[str] = []
    images_deny: list[str] = []
    addresses_allow: list[str] = []
    addresses_deny: list[str] = []
    commands_allow: list[str] = []
    commands_deny: list[str] = []
    origins: list[str] = []
    hosts: list[str] = []


class ObserveSettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """[observe]: who may read metrics, and where traces go.

    `metrics_open` lets everybody who reaches the HTTP port read them. `otlp_endpoint` turns traces on; `trace_ratio` is
    how many requests of clients that do not trace themselves are traced.
    """

    metrics_open: bool = False
    otlp_endpoint: str | None = None
    trace_ratio: Annotated[float, Meta(ge=0, le=1)] = 1.0


class Settings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """All settings."""

    server: ServerSettings = msgspec.field(default_factory=ServerSettings)
    tls: TlsSettings = msgspec.field(default_factory=TlsSettings)
    sessions: SessionSettings = msgspec.field(default_factory=SessionSettings)
    history: HistorySettings = msgspec.field(default_factory=HistorySettings)
    events: EventSettings = msgspec.field(default_factory=EventSettings)
    backups: BackupSettings = msgspec.field(default_factory=BackupSettings)
    images: ImageSettings = msgspec.field(default_factory=ImageSettings)
    encryption: EncryptionSettings = msgspec.field(default_factory=EncryptionSettings)
    limits: LimitSettings = msgspec.field(default_factory=LimitSettings)
    quotas: QuotaSettings = msgspec.field(default_factory=QuotaSettings)
    policy: PolicySettings = msgspec.field(default_factory=PolicySettings)
    access: AccessSettings = msgspec.field(default_factory=AccessSettings)
    audit: AuditSettings = msgspec.field(default_factory=AuditSettings)
    observe: ObserveSettings = msgspec.field(default_factory=ObserveSettings)
