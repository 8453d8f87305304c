"""Supervisor's own interface, over its socket; its own client library takes three times as long to import."""

import http.client
import socket
import xmlrpc.client

# What it means that supervisor does not answer, or not in a way that can be read.
NO_ANSWER = (OSError, xmlrpc.client.Error, http.client.HTTPException)


class UnixTransport(xmlrpc.client.Transport):
    """XML-RPC over a UNIX socket; a supervisor that hangs is no excuse to."""

    def __init__(self, path, seconds):
        super().__init__()
        self.path, self.seconds = path, seconds

    def make_connection(self, host):
        if self._connection[1] is None:
            connection = http.client.HTTPConnection("localhost")
            connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.sock.settimeout(self.seconds)
            connection.sock.connect(self.path)
            self._connection = host, connection
        return self._connection[1]


def supervisor_at(path, seconds):
    """Return the interface of the supervisor at a socket; an answer may take so many seconds."""
    return xmlrpc.client.ServerProxy("http://localhost", transport=UnixTransport(path, seconds)).supervisor
