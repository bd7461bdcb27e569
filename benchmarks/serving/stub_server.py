"""Our server as it is, but for the network: it returns its input. What is left is the overhead."""

import argparse
from contextlib import nullcontext

import uvicorn
from torch import Tensor

from service.app import create_app
from service.assembly import open_services
from service.settings import read_settings

MAX_ROWS = 8  # any number does: the stub takes no time


def return_input(x: Tensor, time: Tensor, class_label: Tensor) -> Tensor:
    return x


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    settings = read_settings({"port": options.port, "max_rows": str(MAX_ROWS)})
    with open_services(settings) as services:
        for model in services.models.values():
            model.network.forward = return_input
        app = create_app(settings, lambda _: nullcontext(services))
        uvicorn.run(app, port=options.port, log_config=None, access_log=False)


if __name__ == "__main__":
    main()
