"""The shape of the Python recipe that parlance descends from, written anew for Python 3: one loop
around select, an object for each client, the same two questions.

    recipe.py PORT
"""

import select
import socket
import sys


class LengthSepBody:
    """A length, a line feed, a body; the answer is the body."""

    def __init__(self, connection):
        self.connection = connection
        self.incoming = b""

    def next_request(self):
        head, found, rest = self.incoming.partition(b"\n")
        if not found or len(rest) < int(head):
            return None
        body, self.incoming = rest[: int(head)], rest[int(head):]
        return body

    def handle_read(self):
        received = self.connection.recv(65536)
        if not received:
            return False
        self.incoming += received
        responses = []
        while (body := self.next_request()) is not None:
            responses.append(body)
        self.connection.sendall(b"".join(responses))
        return True


def loop(port):
    listener = socket.create_server(("127.0.0.1", port), backlog=128)
    clients = {}
    while True:
        readable, _, _ = select.select([listener, *clients], [], [])
        for ready in readable:
            if ready is listener:
                connection, _ = listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                clients[connection] = LengthSepBody(connection)
            elif not clients[ready].handle_read():
                del clients[ready]
                ready.close()


loop(int(sys.argv[1]))
