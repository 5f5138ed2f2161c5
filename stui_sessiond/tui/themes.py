"""How does it look? A dark, a light and a high-contrast theme; all of Textual's are there as well."""

from textual.theme import Theme

from stui_sessiond.tui.preferences import CONTRAST, DARK, LIGHT

THEMES = (
    Theme(
        name=DARK,
        primary="#5fa8d3",
        secondary="#8fb996",
        accent="#e0a458",
        foreground="#e2e6ea",
        background="#12161c",
        surface="#1a2029",
        panel="#252d38",
        success="#8fb996",
        warning="#e0a458",
        error="#d1495b",
        dark=True,
        variables={"footer-key-foreground": "#e0a458", "block-cursor-text-style": "none"},
    ),
    Theme(
        name=LIGHT,
        primary="#1d5f8a",
        secondary="#35693f",
        accent="#8a4b00",
        foreground="#1b1f24",
        background="#fbfbf9",
        surface="#f2f2ee",
        panel="#e2e3dd",
        success="#2c6a38",
        warning="#8a4b00",
        error="#a8202f",
        dark=False,
        variables={"footer-key-foreground": "#8a4b00", "block-cursor-text-style": "none"},
    ),
    Theme(
        name=CONTRAST,
        primary="#ffff00",
        secondary="#00ffff",
        accent="#ffff00",
        foreground="#ffffff",
        background="#000000",
        surface="#000000",
        panel="#1c1c1c",
        success="#00ff00",
        warning="#ffff00",
        error="#ff6060",
        dark=True,
        text_alpha=1.0,
        variables={
            "footer-key-foreground": "#ffff00",
            "text-muted": "#ffffff",
            "block-cursor-foreground": "#000000",
            "block-cursor-background": "#ffff00",
            "block-cursor-text-style": "bold",
            "block-cursor-blurred-foreground": "#000000",
            "block-cursor-blurred-background": "#ffffff",
            "primary-background": "#000000",
        },
    ),
)
"""WCAG contrast of text to background: at least 7 to 1 in the first two, 15 to 1 in the last."""
