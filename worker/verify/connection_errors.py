"""Why a connection brought no reply. The words name no address, because the text of an error may hold a password."""

from __future__ import annotations

import ssl

import aiohttp


def cause_of(error: Exception) -> str:
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "its host name is unknown"
        case aiohttp.ClientConnectorCertificateError() | ssl.SSLError() | aiohttp.ClientSSLError():
            return "its TLS certificate is not accepted"
        case aiohttp.ClientConnectorError():
            return "connection refused"
        case aiohttp.ConnectionTimeoutError():
            return "no connection in time"
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError() | ConnectionError():
            return "connection cut"
        case _:
            return "the reply is no HTTP"
