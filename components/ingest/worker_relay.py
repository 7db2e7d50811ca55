"""What Beam starts as a worker: hands its environment on to who forks one, and ends as that ends.

Run by its path with the address of a socket; imports nothing that takes time.
"""

import json
import os
import socket
import sys

ENDED_WELL = b"1"


def main(address: str) -> int:
    """The exit code."""
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(address)
        server.sendall(json.dumps(dict(os.environ)).encode())
        server.shutdown(socket.SHUT_WR)
        return 0 if server.recv(1) == ENDED_WELL else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
