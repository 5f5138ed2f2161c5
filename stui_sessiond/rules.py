"""What do the settings mean to each part of the daemon?"""

from msgspec.structs import replace

from stui_sessiond import config
from stui_sessiond.commands.connection import ServerFacts
from stui_sessiond.commands.gate import Quotas
from stui_sessiond.security.access import Access
from stui_sessiond.security.quota import Rate
from stui_sessiond.server.listeners import Parting, ServerRules
from stui_sessiond.server.peer import PeerLimits
from stui_sessiond.sessions.history import HistoryRules
from stui_sessiond.sessions.log import LogRules
from stui_sessiond.sessions.retention import LifeRules
from stui_sessiond.sessions.validator import SessionRules
from stui_sessiond.settings import Settings
from stui_sessiond.wire.limits import MAX_DEPTH, MessageLimits
from stui_sessiond.wire.messages.connection import Limits

HEARTBEAT_S = 20.0
"""Between signs of life; WebSocket peers are pinged so often."""


def session_rules(settings: Settings) -> SessionRules:
    """How many sessions, how large, how long."""
    sessions, past = settings.sessions, settings.history
    return SessionRules(
        max_per_client=sessions.max_per_client,
        default_timeout_s=sessions.default_timeout,
        max_timeout_s=sessions.max_timeout,
        max_bytes=sessions.max_bytes,
        max_client_bytes=settings.quotas.client_bytes,
        history=HistoryRules(max_versions=past.versions, max_bytes=past.bytes, max_age_s=past.age),
    )


def life_rules(settings: Settings) -> LifeRules:
    """What time does to sessions."""
    sessions = settings.sessions
    return LifeRules(
        retention_s=sessions.retention,
        cleanup_interval_s=sessions.cleanup_interval,
        autosave_interval_s=sessions.autosave_interval,
    )


def log_rules(settings: Settings) -> LogRules:
    """How many events are kept."""
    events = settings.events
    return LogRules(max_events=events.count, max_bytes=events.bytes, max_age_s=events.age)


def peer_limits(settings: Settings) -> PeerLimits:
    """How much one peer may have under way."""
    limits = settings.limits
    return PeerLimits(
        messages=MessageLimits(client_bytes=limits.client_message_bytes, image_bytes=limits.image_message_bytes),
        requests_in_flight=limits.requests_in_flight,
        evaluations_in_flight=limits.evaluations_in_flight,
    )


def server_rules(settings: Settings, access: Access) -> ServerRules:
    """Who may connect, and how long anything may take."""
    limits = settings.limits
    return ServerRules(
        token_needed=settings.server.auth == "token",
        access=access,
        max_connections=limits.max_connections,
        connections_per_token=limits.connections_per_token,
        unauthenticated=limits.unauthenticated,
        unauthenticated_per_address=limits.unauthenticated_per_address,
        failed_authentications=limits.failed_authentications,
        handshake_s=limits.handshake_timeout,
        hello_s=limits.hello_timeout,
        message_s=limits.message_timeout,
        tls=config.tls_files(settings.tls),
        ping_interval_s=HEARTBEAT_S,
        origins=tuple(settings.access.origins),
        hosts=tuple(settings.access.hosts),
    )


def quotas(settings: Settings) -> Quotas:
    """How often somebody may ask."""
    told = settings.quotas
    return Quotas(
        Rate(told.requests_per_second, told.requests_burst),
        Rate(told.evaluations_per_second, told.evaluations_burst),
    )


def server_facts(server_id: str, settings: Settings) -> ServerFacts:
    """What `hello` tells."""
    limits = settings.limits
    told = Limits(
        message_bytes=limits.client_message_bytes,
        json_depth=MAX_DEPTH,
        requests_in_flight=limits.requests_in_flight,
        evaluations_in_flight=limits.evaluations_in_flight,
        subscriptions=limits.subscriptions,
        session_bytes=settings.sessions.max_bytes,
        sessions_per_client=settings.sessions.max_per_client,
    )
    return ServerFacts(server_id, HEARTBEAT_S, told, replace(told, message_bytes=limits.image_message_bytes))


HANDOVER_GRACE_S = 0.25
"""How long a restart that hands over waits for requests: those that run no code take milliseconds, and all wait."""


HANDOVER_RELAYED_S = 0.05
"""The same for those that wait for images: what takes longer goes on in the image, and is told to the next process."""


def parting(settings: Settings, *, hand_over: bool) -> Parting:
    """How long a daemon that ends waits for what."""
    server = settings.server
    grace_s = server.drain_timeout
    if hand_over:
        return Parting(min(HANDOVER_GRACE_S, grace_s), min(HANDOVER_RELAYED_S, grace_s))
    return Parting(grace_s, grace_s, server.drain_delay)
