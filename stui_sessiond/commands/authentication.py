"""Whose token is this, and which client may its holder be? The same over every transport."""

from collections.abc import Callable

from stui_sessiond.errors import AuthenticationFailedError, ClientNotAllowedError
from stui_sessiond.security.principal import Principal
from stui_sessiond.sessions.validator import SessionValidator

_WORDS = {"missing": "the token is missing", "unknown": "the token is not valid here"}


class Authenticator:
    """Finds principals, and binds them to client ids."""

    def __init__(self, find_token: Callable[[str], tuple[Principal | None, str]], validator: SessionValidator) -> None:
        self._find_token = find_token
        self._validator = validator

    def find(self, token: str | None) -> Principal:
        """Find who holds a token.

        Raises:
            AuthenticationFailedError: nobody, or not any more.
        """
        principal, state = (None, "missing") if not token else self._find_token(token)
        if principal is None:
            raise AuthenticationFailedError(_WORDS.get(state, f"the token is {state}"), reason=state)
        return principal

    def bind_client(self, principal: Principal, client_id: str | None) -> str | None:
        """Tell which client somebody is. A token that is for one client alone names it.

        Raises:
            ClientNotAllowedError: the token is for others; or the lists keep it out.
            ParameterError: it is no proper name.
        """
        if client_id is None:
            client_id = principal.only_client()
        if client_id is not None:
            self._validator.admit_client(client_id)
        if principal.bound and (client_id is None or not principal.may_be_client(client_id)):
            msg = "the token is for other clients; say `client_id` as the token has it"
            raise ClientNotAllowedError(msg, client_id=client_id)
        return client_id
