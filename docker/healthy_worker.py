"""Exit status 0 where Redis knows a worker of this container: its entry lapses when it hangs."""

import os
import socket
import sys

from redis import Redis
from rq import Worker


def is_known(connection: Redis) -> bool:
    host = socket.gethostname()
    return any(worker.hostname == host for worker in Worker.all(connection=connection))


if __name__ == "__main__":
    with Redis.from_url(os.environ["FEWSTEP_REDIS_URL"], socket_timeout=5) as connection:
        sys.exit(0 if is_known(connection) else 1)
