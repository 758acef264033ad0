"""HTTPS to the public door of a hosted domain, whatever the DNS would say; the certificate must be for the name in the address."""

import http.client
import socket
import ssl
from urllib.parse import urlsplit

DEADLINE = 60


class Door(http.client.HTTPSConnection):
    """`place` is the plan's: {"ca": PATH, "door": {"host", "port"}}."""

    def __init__(self, place, host, port):
        context = ssl.create_default_context(cafile=place["ca"])
        super().__init__(host, port, context=context, timeout=DEADLINE)
        self.own = context
        self.place = (place["door"]["host"], place["door"]["port"])

    def connect(self):
        plain = socket.create_connection(self.place, DEADLINE)
        self.sock = self.own.wrap_socket(plain, server_hostname=self.host)


def ask(place, method, url, body=None, headers=None):
    """Status, headers (names in lower case), body."""
    parts = urlsplit(url)
    assert parts.scheme == "https", url
    door = Door(place, parts.hostname, parts.port or 443)
    door.request(method, parts.path, body=body, headers=headers or {})
    answer = door.getresponse()
    return answer.status, dict((k.lower(), v) for k, v in answer.getheaders()), answer.read()
