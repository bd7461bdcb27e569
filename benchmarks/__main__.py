"""`python -m benchmarks NAME …`: measure something; the figures go to benchmarks/results/."""

import importlib
import signal
import sys

BENCHMARKS = {
    "serving": "throughput, overhead, head-of-line blocking, bfloat16, start-up",
    "search": "searched solvers against the paper's search, classical and published ones",
    "models": "the bundled models beside each other; a network and checkpoints of full size",
    "proxy": "the FID proxy: its cost, and its ranks beside those of the offline distance",
    "reproduce": "the published distances again, from published weights",
}


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] not in BENCHMARKS:
        print(_usage(), file=sys.stderr)
        return 0 if arguments in (["-h"], ["--help"]) else 2
    benchmark = importlib.import_module(f"benchmarks.{arguments[0]}")
    status: int = benchmark.main(arguments[1:])
    return status


def _usage() -> str:
    names = "\n".join(f"  {name}  {what}" for name, what in BENCHMARKS.items())
    return f"usage: ./run bench NAME [options]\n\n{names}"


if __name__ == "__main__":
    # A benchmark asked to stop takes its servers with it, as on Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
