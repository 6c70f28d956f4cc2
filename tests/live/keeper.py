"""A collector in miniature, a process to be killed: what it acknowledges is in its file, and its sessions are in another.

python keeper.py PORT FOLDER
"""

import os
import sys
from pathlib import Path

from ingest.endpoint import Endpoint
from ingest.sessions import Sessions


def main(port: int, folder: Path) -> None:
    with (folder / "kept").open("ab") as kept, Endpoint("127.0.0.1", port, sessions=Sessions(folder / "sessions.jsonl")) as endpoint:
        while True:
            delivery = endpoint.read(1.0)
            if delivery is not None:
                kept.writelines(message.payload + b"\n" for message in delivery.messages)
                kept.flush()
                os.fdatasync(kept.fileno())
                delivery.acknowledge()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
