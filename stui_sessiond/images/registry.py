"""Which images are alive, which have been, and what is known of each?"""

from collections import OrderedDict
from collections.abc import Callable, Collection

import msgspec
import structlog
from msgspec.structs import replace

from stui_sessiond.errors import ImageIdInUseError
from stui_sessiond.ids import ImageId
from stui_sessiond.images import record as records
from stui_sessiond.images.condition import Condition, Facts, Process, condition_of
from stui_sessiond.images.conflict import Claim, doubts, second_instance
from stui_sessiond.images.link import ImageLink, Tally
from stui_sessiond.images.memory import REMEMBERED_IMAGES, ImageMemory
from stui_sessiond.images.probe import Outcome
from stui_sessiond.images.process import ProcessMark, look, mark
from stui_sessiond.images.record import Doubt, Identity, ImageRecord
from stui_sessiond.images.tally import EvaluationTally

_log = structlog.get_logger(__name__)


class Origin(msgspec.Struct, frozen=True):
    """Where a link comes from: its address, and on this machine perhaps its process."""

    address: str = "unknown"
    here: bool = False
    process_id: int | None = None
    """As the system tells; what the image says of itself goes before."""


class KnownImage:
    """One image: what is remembered of it, and what is so only now."""

    def __init__(self, record: ImageRecord, at: float) -> None:
        self.record = record
        self.link: ImageLink | None = None
        self.here = False
        self.tally = Tally()
        self.certificate: dict[str, Outcome] = {}
        self.process: Process = "unknown"
        self.condition: Condition = "unknown"
        self.condition_since = at
        self.changing_since: float | None = None
        """Since when it has been in another one that is not told yet."""

    @property
    def image_id(self) -> ImageId:
        """Its name."""
        return ImageId(self.record.image_id)

    @property
    def identity(self) -> Identity | None:
        """Who it said it is; None when it has never been connected."""
        return self.record.identity

    @property
    def connected(self) -> bool:
        """Whether there is a link."""
        return self.link is not None

    @property
    def mark(self) -> ProcessMark | None:
        """Its process, if it is one of this machine and known."""
        number = self.record.process_id
        return None if number is None else ProcessMark(number, self.record.process_started)


class ImageRegistry:
    """Holds the live links: one per image id, the newest of an instance; and remembers those that were."""

    def __init__(
        self,
        clock: Callable[[], float],
        memory: ImageMemory | None = None,
        on_doubt: Callable[[ImageId, Doubt], None] = lambda _image, _doubt: None,
    ) -> None:
        self._clock = clock
        self._memory = memory
        self.on_doubt = on_doubt
        """Called when there is a new reason to doubt an image."""
        self.evaluations = EvaluationTally()
        """Over all images and links."""
        self._links: dict[ImageId, ImageLink] = {}
        self._known: OrderedDict[ImageId, KnownImage] = OrderedDict()

    async def open(self) -> None:
        """Remember what was known when the daemon before this one ended.

        Raises:
            StorageError: the disk failed.
        """
        now = self._clock()
        for record in await self._memory.read() if self._memory is not None else ():
            known = KnownImage(records.reopen(record, now), now)
            known.condition_since = known.record.gone_at or now
            self._known[known.image_id] = known
            known.process = look(known.mark)
            known.condition = condition_of(self.facts(known))
        self._trim()

    # ---- links

    def admit(self, link: ImageLink, origin: Origin | None = None) -> ImageLink | None:
        """Take up a link; return the older one of the same instance that it replaces, already lost.

        Raises:
            ImageIdInUseError: another instance is connected under this image id.
        """
        image_id, now = link.image_id, self._clock()
        origin = origin or Origin()
        identity = records.said(link.identity)
        present = self._links.get(image_id)
        if present is not None and present.identity.instance_id != identity.instance_id:
            self._refuse(image_id, identity, present)
        known = self._known.pop(image_id, None) or KnownImage(ImageRecord(image_id), now)
        if present is not None:
            known.record = records.disconnect(known.record, "replaced", now, gone=False)
        self._inherit(known, link)
        highest = known.record.highest_generation
        known.record = records.connect(known.record, identity, origin.address, now)
        known.link, known.here = link, origin.here
        self._links[image_id] = link
        self._known[image_id] = known
        self._note_process(known, origin)
        if present is not None:
            present.lose()
        _log.info("image.connected", image_id=image_id, instance_id=identity.instance_id)
        claims = [Claim(each.identity, each.here) for each in self._connected() if each.identity is not None]
        for about, reason in doubts(Claim(identity, origin.here), highest, claims, now):
            self._doubt(ImageId(about), reason)
        self._keep(known)
        self._trim()
        return present

    def _refuse(self, image_id: ImageId, identity: Identity, present: ImageLink) -> None:
        self._doubt(image_id, second_instance(identity, records.said(present.identity), self._clock()))
        msg = (
            f"image id {image_id!r} is in use by instance {present.identity.instance_id}; "
            "stop that image, or give this one another id"
        )
        raise ImageIdInUseError(msg, image_id=image_id, instance_id=present.identity.instance_id)

    def _inherit(self, known: KnownImage, link: ImageLink) -> None:
        """The link goes on counting; an instance that was tried already is not tried again."""
        link.tally = known.tally
        link.evaluations = self.evaluations
        before = known.identity
        tried = before is not None and before.instance_id == link.identity.instance_id
        certificate = known.certificate if tried else {}
        known.certificate = {name: certificate.get(name, "claimed") for name in link.identity.capabilities}
        link.failed = frozenset(name for name, outcome in known.certificate.items() if outcome == "failed")

    def _note_process(self, known: KnownImage, origin: Origin) -> None:
        """Only of a process of this machine can be told whether it is there."""
        identity = known.identity
        number = (identity.process_id if identity is not None else None) or origin.process_id
        found = mark(number) if origin.here and number else None
        known.process = "alive" if found is not None else "unknown"
        known.record = replace(
            known.record,
            process_id=None if found is None else found.process_id,
            process_started=None if found is None else found.started,
        )

    def leave(self, link: ImageLink) -> bool:
        """Let go of a link; False when a newer one has taken its place already."""
        link.lose()
        if self._links.get(link.image_id) is not link:
            return False
        del self._links[link.image_id]
        known = self._known.pop(link.image_id)
        known.link = None
        now = self._clock()
        known.record = replace(records.disconnect(known.record, link.end_reason or "link_lost", now), last_seen=now)
        known.process = look(known.mark)
        self._known[link.image_id] = known
        self._keep(known)
        self._trim()
        _log.info("image.disconnected", image_id=link.image_id)
        return True

    def find(self, image_id: ImageId) -> ImageLink | None:
        """The live link to an image."""
        return self._links.get(image_id)

    @property
    def connected(self) -> Collection[ImageId]:
        """The images that are connected now."""
        return self._links.keys()

    # ---- what is known

    def known(self, image_id: str) -> KnownImage | None:
        """What is known of an image."""
        return self._known.get(ImageId(image_id))

    def all_known(self) -> list[KnownImage]:
        """All images that are known, the most recently changed last."""
        return list(self._known.values())

    def facts(self, known: KnownImage, *, has_sessions: bool = False) -> Facts:
        """What is so of an image now, from memory alone. `has_sessions`: active sessions belong to it."""
        record, link = known.record, known.link
        if link is None:
            return Facts(
                seen=record.identity is not None,
                refused=record.refused,
                gone_s=0.0 if record.gone_at is None else max(0.0, self._clock() - record.gone_at),
                has_sessions=has_sessions,
                process=known.process,
            )
        pulse = link.pulse
        return Facts(
            connected=True,
            has_sessions=has_sessions,
            silent_s=pulse.silent_s,
            latency_s=pulse.latency_s,
            blocked=pulse.blocked,
            evaluating=link.evaluating or pulse.busy,
            process=known.process,
        )

    def refuse(self, image_id: str) -> None:
        """Take note that an image was not let in, if it is known: strangers are not remembered."""
        known = self.known(image_id)
        if known is not None and not known.connected and not known.record.refused:
            known.record = replace(known.record, refused=True)
            self._keep(known)

    def note_cleanup(self, image_id: str, by: str, sessions: int) -> None:
        """Take note that sessions of an image were closed."""
        known = self._known.get(ImageId(image_id))
        if known is None:
            known = self._known[ImageId(image_id)] = KnownImage(ImageRecord(image_id), self._clock())
        known.record = records.clean(known.record, by, sessions, self._clock())
        self._keep(known)
        self._trim()

    # ---- inside

    def _connected(self) -> list[KnownImage]:
        return [self._known[image_id] for image_id in self._links]

    def _doubt(self, image_id: ImageId, reason: Doubt) -> None:
        known = self._known.get(image_id)
        if known is None:
            return
        known.record, is_news = records.doubt(known.record, reason)
        if is_news:
            self._keep(known)
            self.on_doubt(image_id, reason)

    def _keep(self, known: KnownImage) -> None:
        if self._memory is not None:
            self._memory.keep(known.record)

    def _trim(self) -> None:
        gone = [image_id for image_id in self._known if image_id not in self._links]
        for image_id in gone[: max(0, len(gone) - REMEMBERED_IMAGES)]:
            del self._known[image_id]
