"""The `tls` commands: certificates for a daemon and its peers, from a CA of one's own. Thin: `security.certificates`.

Exit codes: 0 done, 2 it could not be done.
"""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

if TYPE_CHECKING:
    from stui_sessiond.security.certificates import Described, Pair

EXIT_CANNOT = 2

_DIR = click.option(
    "--dir", "folder", type=click.Path(path_type=Path), metavar="DIR", help="Default: `tls` in the data folder."
)
_RENEW = click.option("--renew", is_flag=True, help="Put a new one in the place of the one that is there.")


@click.group()
def tls() -> None:
    """Make and show certificates for TLS. `serve --tls-certificate ... --tls-key ...` uses them."""


@tls.command()
@_DIR
@click.option("--name", "names", multiple=True, metavar="HOST", help="A name or address the daemon is reached under.")
@_RENEW
def init(folder: Path | None, names: Sequence[str], *, renew: bool) -> None:
    """Make a local CA and a server certificate.

    It is for localhost, 127.0.0.1, ::1 and the given names. With `--renew` the CA stays, so that clients need nothing
    new, and the server gets a new key, for the names it had unless others are given; a running daemon takes it up by
    itself.
    """
    from stui_sessiond.security import certificates as made  # noqa: PLC0415 -- slow to import

    folder = _folder(folder)
    now = made.now_utc()
    ca_files, server_files = _files(folder, "ca"), _files(folder, "server")
    try:
        if not renew:
            _refuse_existing([*ca_files, *server_files], "--renew makes a new server certificate with the CA there")
        has_ca = ca_files[0].exists()
        ca = made.read_pair(*ca_files) if has_ca else made.make_ca(now)
        if not names and server_files[0].exists():
            had = made.describe(made.read_certificates(server_files[0])[0]).names
            names = [name for name in had if name not in made.LOCAL_NAMES]
        server = made.make_server(ca, names, now)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not has_ca:
            made.write_pair(ca, *ca_files)
        made.write_pair(server, *server_files, replace=renew)
    except (OSError, ValueError) as error:
        _fail(_text(error))
    if not has_ca:
        _told("CA", ca, ca_files)
    _told("server", server, server_files)
    click.echo(f"\nserve with   --tls-certificate {server_files[0]} --tls-key {server_files[1]}")
    click.echo(f"connect with --ca-file {ca_files[0]}")
    click.echo(f"Keep {ca_files[1]} to yourself: who has it can make certificates that your clients trust.")


@tls.command()
@click.argument("name")
@_DIR
@_RENEW
def client(name: str, folder: Path | None, *, renew: bool) -> None:
    """Make a certificate for the client or image NAME, for a daemon that runs with --tls-client-ca."""
    from stui_sessiond.security import certificates as made  # noqa: PLC0415 -- slow to import

    folder = _folder(folder)
    ca_files, files = _files(folder, "ca"), _files(folder, name)
    try:
        made.check_client_name(name)
        if not renew:
            _refuse_existing(files, "--renew makes a new one")
        if not ca_files[0].exists():
            _fail(f"there is no CA in {folder}; `stui-sessiond tls init` makes one")
        pair = made.make_client(made.read_pair(*ca_files), name, made.now_utc())
        made.write_pair(pair, *files, replace=renew)
    except (OSError, ValueError) as error:
        _fail(_text(error))
    _told("client", pair, files)
    click.echo(f"\nserve with   --tls-client-ca {ca_files[0]}")
    click.echo(f"connect with --cert-file {files[0]} --key-file {files[1]}")


@tls.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE]...")
@_DIR
@click.option("--json", "as_json", is_flag=True, help="Print JSON for a script.")
def show(files: Sequence[Path], folder: Path | None, *, as_json: bool) -> None:
    """Tell what certificates there are: for whom, until when, and their SHA-256 fingerprints."""
    from stui_sessiond.security import certificates as made  # noqa: PLC0415 -- slow to import

    found: list[tuple[Path, Described]] = []
    chosen = files or sorted(_folder(folder).glob("*.pem"))
    for file in chosen:
        try:
            found += [(file, made.describe(certificate)) for certificate in made.read_certificates(file)]
        except (OSError, ValueError) as error:
            _fail(f"{file}: {_text(error)}")
    if not found:
        _fail(f"there are no certificates in {_folder(folder)}; `stui-sessiond tls init` makes some")
    if as_json:
        import msgspec  # noqa: PLC0415 -- only needed here

        click.echo(json.dumps([{"file": str(file), **msgspec.to_builtins(one)} for file, one in found]))
        return
    for file, one in found:
        _show(file, one, (one.ends_at - made.now_utc()).days)


def _show(file: Path, one: "Described", days: int) -> None:
    click.echo(f"{file}\n  subject      {one.subject} ({one.purpose})")
    if one.names:
        click.echo(f"  names        {', '.join(one.names)}")
    click.echo(f"  issuer       {one.issuer}")
    left = f"{days} days left" if days >= 0 else "EXPIRED"
    click.echo(f"  valid        {one.begins_at:%Y-%m-%d} to {one.ends_at:%Y-%m-%d}, {left}")
    click.echo(f"  SHA-256      {one.fingerprint}")


def _told(what: str, pair: "Pair", files: Sequence[Path]) -> None:
    from stui_sessiond.security.certificates import describe  # noqa: PLC0415 -- slow to import

    described = describe(pair.certificate)
    named = f" for {', '.join(described.names)}" if described.names else ""
    click.echo(f"{what:6} {files[0]} and {files[1].name}{named}, valid until {described.ends_at:%Y-%m-%d}")


def _files(folder: Path, name: str) -> tuple[Path, Path]:
    return folder / f"{name}.pem", folder / f"{name}.key"


def _folder(given: Path | None) -> Path:
    if given is not None:
        return given.absolute()
    from stui_sessiond import config, errors  # noqa: PLC0415 -- only needed here

    try:
        return config.data_dir(config.load_settings(None, os.environ, {}).server) / "tls"
    except errors.ConfigError as error:
        _fail(str(error))


def _refuse_existing(files: Sequence[Path], way_out: str) -> None:
    for file in files:
        if file.exists() or file.is_symlink():
            _fail(f"{file} exists and is not overwritten; {way_out}")


def _text(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.strerror else f"{error} exists and is not overwritten"
    return str(error)


def _fail(text: str) -> NoReturn:
    click.echo(f"stui-sessiond: {text}", err=True)
    sys.exit(EXIT_CANNOT)
