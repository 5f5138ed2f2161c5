"""The settings: where they come from, and what is said of wrong ones."""

from pathlib import Path

import pytest

from stui_sessiond.config import data_dir, load_settings, parse_address, runtime_dir, unix_path
from stui_sessiond.errors import ConfigError
from stui_sessiond.settings import ServerSettings, Settings


def from_file(folder: Path, text: str) -> Settings:
    """Read the settings from a file with this text."""
    file = folder / "settings.toml"
    file.write_text(text)
    return load_settings(file, {}, {})


def from_environment(**variables: str) -> Settings:
    """Read the settings from these variables, given without the prefix."""
    return load_settings(None, {f"STUI_SESSIOND_{name}": text for name, text in variables.items()}, {})


# ---- where they come from


def test_settings_by_default() -> None:
    """Those that clients have been told, tokens on, and no listener but the unix socket."""
    settings = load_settings(None, {"PATH": "/bin", "STUI_SESSIOND_TOKEN": "t", "STUI_SESSIOND_URL": "u"}, {})
    assert settings == Settings()
    assert (settings.server.auth, settings.server.http, settings.server.lines) == ("token", None, None)
    assert (settings.sessions.default_timeout, settings.sessions.max_per_client) == (3600, 5)


def test_settings_from_a_file(tmp_path: Path) -> None:
    """TOML with one table per section."""
    text = '[server]\nhttp = "127.0.0.1:0"\n[sessions]\nretention = 60\n[access]\nclients_deny = ["bad*"]\n'
    settings = from_file(tmp_path, text)
    assert settings.server.http == "127.0.0.1:0"
    assert settings.sessions.retention == 60
    assert settings.access.clients_deny == ["bad*"]


def test_settings_from_the_environment() -> None:
    """The section is named except for [server]; lists are separated by commas."""
    settings = from_environment(
        HTTP="[::1]:80", SESSIONS_RETENTION="60", LIMITS_SUBSCRIPTIONS="7", ACCESS_ORIGINS="https://a, https://b"
    )
    assert settings.server.http == "[::1]:80"
    assert settings.sessions.retention == 60
    assert settings.limits.subscriptions == 7
    assert settings.access.origins == ["https://a", "https://b"]


def test_settings_from_an_empty_variable() -> None:
    """An empty list is empty: a whitelist of one empty name would keep everyone out."""
    assert from_environment(ACCESS_CLIENTS_ALLOW="").access.clients_allow == []
    assert from_environment(ACCESS_CLIENTS_ALLOW=" a ,, b ,").access.clients_allow == ["a", "b"]


def test_settings_from_everywhere(tmp_path: Path) -> None:
    """The command line wins over the environment, that over the file, that over the defaults."""
    file = tmp_path / "settings.toml"
    file.write_text('[server]\nhttp = "127.0.0.1:1"\nlines = "127.0.0.1:1"\nunix = "/file"\nlog_level = "error"\n')
    environment = {"STUI_SESSIOND_HTTP": "127.0.0.1:2", "STUI_SESSIOND_LINES": "127.0.0.1:2"}
    server = load_settings(file, environment, {"http": "127.0.0.1:3", "lines": None}).server
    assert (server.http, server.lines, server.unix) == ("127.0.0.1:3", "127.0.0.1:2", "/file")
    assert (server.log_level, server.log_format) == ("error", "console")


# ---- wrong ones


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[server]\nauth = 'maybe'\n", "server.auth: invalid enum value 'maybe' (allowed: none or token)"),
        ("[server]\nlog_level = 'loud'\n", "(allowed: debug or error or info or warning)"),
        ("[server]\nport = 5\n", "server.port: no such setting; there is data_dir, runtime_dir, http"),
        ("[sever]\nport = 5\n", "sever: no such setting; there is server, tls, sessions, history, events, backups, "),
        ("[sessions]\nretention = 0\n", "sessions.retention: expected `float` > 0.0 (allowed: a number above 0"),
        ("[sessions]\nretention = nan\n", "sessions.retention: "),
        ("[sessions]\nmax_per_client = 1.5\n", "sessions.max_per_client: "),
        ("[sessions]\nmax_per_client = 'many'\n", "(allowed: a whole number from 1)"),
        ("[limits]\nsubscriptions = 0\n", "limits.subscriptions: expected `int` >= 1 (allowed: a whole number from 1)"),
        ("[server]\ndrain_timeout = -1\n", "(allowed: a number from 0"),
        ("[server]\nhttp = 80\n", "server.http: expected `str | null`, got `int` (allowed: text)"),
        ("[access]\norigins = 'x'\n", "access.origins: expected `array`, got `str` (allowed: a list of texts)"),
        ("[access]\norigins = [5]\n", "access.origins"),
        ("server = 5\n", "server: expected `object`, got `int`"),
    ],
)
def test_setting_that_is_wrong_in_a_file(tmp_path: Path, text: str, said: str) -> None:
    """The place, the key, and what is allowed."""
    with pytest.raises(ConfigError) as caught:
        from_file(tmp_path, text)
    assert str(caught.value).startswith(str(tmp_path / "settings.toml"))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("COLOUR", "red", "STUI_SESSIOND_COLOUR: no such setting; [server] has data_dir"),
        ("SESSIONS_COLOUR", "red", "STUI_SESSIOND_SESSIONS_COLOUR: no such setting; [sessions] has max_per_client"),
        ("SESSIONS", "red", "STUI_SESSIOND_SESSIONS: no such setting"),
        ("AUTH", "maybe", "the environment: server.auth: "),
        ("SESSIONS_RETENTION", "long", "the environment: sessions.retention: "),
    ],
)
def test_setting_that_is_wrong_in_the_environment(name: str, text: str, said: str) -> None:
    """The variable is named, or the key it stands for."""
    with pytest.raises(ConfigError) as caught:
        from_environment(**{name: text})
    assert str(caught.value).startswith(said)


def test_setting_that_is_wrong_on_the_command_line() -> None:
    """The command line is named."""
    with pytest.raises(ConfigError, match=r"^the command line: server\.auth: "):
        load_settings(None, {}, {"auth": "maybe"})


def test_settings_that_do_not_fit_together() -> None:
    """A default that is not allowed."""
    with pytest.raises(ConfigError, match="default_timeout: at most"):
        from_environment(SESSIONS_DEFAULT_TIMEOUT="100", SESSIONS_MAX_TIMEOUT="99")


def test_file_that_is_not_there(tmp_path: Path) -> None:
    """It is named, with what was expected."""
    with pytest.raises(ConfigError, match="there is no such file; --config takes a TOML file"):
        load_settings(tmp_path / "none.toml", {}, {})


@pytest.mark.parametrize("content", [b"[server", b"x", b"\xff\xfe", b"a = 1\na = 2"])
def test_file_that_is_no_toml(tmp_path: Path, content: bytes) -> None:
    """It is named, with what is wrong in it."""
    file = tmp_path / "settings.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"settings\.toml: "):
        load_settings(file, {}, {})


def test_file_that_is_a_folder(tmp_path: Path) -> None:
    """The system's words are passed on."""
    with pytest.raises(ConfigError, match="directory"):
        load_settings(tmp_path, {}, {})


# ---- addresses


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:7447", ("127.0.0.1", 7447)),
        ("localhost:0", ("127.0.0.1", 0)),
        ("[::1]:65535", ("::1", 65535)),
        ("127.0.0.2:1", ("127.0.0.2", 1)),
    ],
)
def test_address_of_this_machine(text: str, address: tuple[str, int]) -> None:
    """Loopback in any of its spellings is listened on."""
    assert parse_address(text, "server.http") == address
    assert from_environment(HTTP=text, LINES=text).server.http == text


@pytest.mark.parametrize(
    "text", ["", "7447", ":7447", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "[]:1"]
)
def test_address_that_is_none(text: str) -> None:
    """The error shows what one looks like."""
    with pytest.raises(ConfigError, match=r"^server\.lines: .* is no HOST:PORT, such as 127\.0\.0\.1:7447"):
        from_environment(LINES=text)


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "192.168.1.5", "[fe80::1]", "8.8.8.8"])  # noqa: S104 -- it has to be refused
def test_address_that_others_reach(host: str) -> None:
    """Whoever reaches the daemon runs code: without TLS and tokens the error says what to turn on."""
    tls = {"TLS_CERTIFICATE": "/x/c.pem", "TLS_KEY": "/x/c.key"}
    with pytest.raises(ConfigError, match=r"can be reached from other machines.*turn on TLS .*SSH tunnel") as caught:
        from_environment(HTTP=f"{host}:80")
    assert "--auth token" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"turn on TLS .* and turn on --auth token, or listen on 127\.0\.0\.1"):
        from_environment(HTTP=f"{host}:80", AUTH="none")
    with pytest.raises(ConfigError, match=r"as you; turn on --auth token, or listen on"):
        from_environment(LINES=f"{host}:80", AUTH="none", **tls)
    assert from_environment(LINES=f"{host}:80", HTTP=f"{host}:81", **tls).server.lines == f"{host}:80"


@pytest.mark.parametrize("host", ["example.org", "localhost6", "127.1", "0x7f.0.0.1"])
def test_address_by_name(host: str) -> None:
    """Names are not looked up, what they mean may change: they count as what others reach."""
    with pytest.raises(ConfigError, match="can be reached from other machines"):
        from_environment(LINES=f"{host}:80")
    assert from_environment(LINES=f"{host}:80", TLS_CERTIFICATE="c", TLS_KEY="k").server.lines == f"{host}:80"


@pytest.mark.parametrize(
    ("given", "missing"),
    [("CERTIFICATE", "key"), ("KEY", "certificate"), ("CLIENT_CA", "certificate")],
)
def test_tls_that_is_not_whole(given: str, missing: str) -> None:
    """The error names what is missing, and what makes it."""
    with pytest.raises(ConfigError, match=rf"^tls\.{missing}: missing; `stui-sessiond tls init`"):
        from_environment(**{f"TLS_{given}": "/x"})


def test_places_that_were_asked_for(tmp_path: Path) -> None:
    """Folders are made absolute; the socket is in the runtime folder unless it is named."""
    server = ServerSettings(data_dir=str(tmp_path), runtime_dir=str(tmp_path))
    assert (data_dir(server), runtime_dir(server)) == (tmp_path, tmp_path)
    assert unix_path(server) == tmp_path / "daemon.sock"
    assert unix_path(ServerSettings(unix="/x/y.sock")) == Path("/x/y.sock")


def test_places_by_default() -> None:
    """They are the user's own, and absolute."""
    server = ServerSettings()
    assert data_dir(server).is_absolute()
    assert unix_path(server).parent == runtime_dir(server)
    assert "stui-sessiond" in str(data_dir(server))


def test_settings_of_images_that_do_not_fit_together() -> None:
    """Sessions cannot be closed before they are orphaned; never is always allowed."""
    with pytest.raises(ConfigError, match="close_orphaned_after: at least"):
        from_environment(IMAGES_GRACE="100", IMAGES_CLOSE_ORPHANED_AFTER="99")
    settings = from_environment(IMAGES_GRACE="100", IMAGES_CLOSE_ORPHANED_AFTER="0", IMAGES_PROBE="false")
    assert (settings.images.grace, settings.images.close_orphaned_after, settings.images.probe) == (100, 0, False)
