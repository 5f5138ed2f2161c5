"""What is a class browser restored from, and what becomes of a source that is not compiled yet? Pure."""

import msgspec

MAX_DRAFTS = 50
"""Sources that wait to be compiled; the oldest gives way."""
MAX_DRAFT_CHARS = 100_000
"""All of them together, so that the stored session stays small."""


class Method(msgspec.Struct, frozen=True):
    """A method, or the place of a new one (`selector` empty)."""

    class_name: str
    selector: str = ""
    is_class_method: bool = False
    category: str | None = None

    @property
    def title(self) -> str:
        """Write it as Smalltalk does."""
        side = " class" if self.is_class_method else ""
        return f"{self.class_name}{side}>>{self.selector or '(new method)'}"


class Draft(msgspec.Struct, frozen=True):
    """A source that was changed and is not compiled yet."""

    method: Method
    source: str
    base: str | None
    """The source that it was made from; None for a new method."""


class BrowserState(msgspec.Struct):
    """Which method is shown, and what is not compiled yet."""

    method: Method | None = None
    drafts: list[Draft] = []


def same(one: Method, other: Method) -> bool:
    """Tell whether two are the same method, whatever protocol they are in."""
    return (one.class_name, one.selector, one.is_class_method) == (
        other.class_name,
        other.selector,
        other.is_class_method,
    )


def keep(drafts: list[Draft], draft: Draft) -> list[Draft]:
    """Put a draft with the others, as the newest, in the place of the one of its method."""
    kept = [one for one in drafts if not same(one.method, draft.method)]
    kept.append(draft)
    while len(kept) > MAX_DRAFTS or (len(kept) > 1 and sum(len(one.source) for one in kept) > MAX_DRAFT_CHARS):
        del kept[0]
    return kept


def drop(drafts: list[Draft], method: Method) -> list[Draft]:
    """Leave out the draft of a method."""
    return [one for one in drafts if not same(one.method, method)]


def find(drafts: list[Draft], method: Method) -> Draft | None:
    """Find the draft of a method."""
    return next((one for one in drafts if same(one.method, method)), None)


def template(method: Method) -> str:
    """Write what a new method begins as."""
    words = "the protocol '" + method.category + "'" if method.category else "what it does"
    return f'messageSelector\n\t"Say {words}."\n\n\t^ self'
