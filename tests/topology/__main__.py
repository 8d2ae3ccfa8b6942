"""python -m tests.topology: run it until Ctrl-C, and say where everything is."""

import argparse
import signal

from tests.topology.topology import Topology


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.topology", description=__doc__)
    parser.add_argument("--ledger", default="sqlite", help="sqlite (one each), postgresql, or a URL")
    parser.add_argument("--gateways", type=int, default=2, choices=(1, 2), help="as many as nginx.conf has at most")
    given = parser.parse_args()
    with Topology(ledger=given.ledger, gateways=given.gateways) as topology:
        for program in topology.programs:
            print(f"{program.name:14} pid {program.pid}, says {program.log}")
        form = f"key={topology.key}&action=balance"
        print(f"curl --cacert {topology.folder}/certificate/certificate.pem -d '{form}' {topology.url}")
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    main()
