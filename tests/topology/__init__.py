"""The topology of deploy/compose.yaml as plain processes on loopback: what customers, panels and faults meet there.

Addresses take the place of containers: each topology has a network of its own, 127.x.y.0/24, with the last numbers that
compose.yaml gives. nginx runs deploy/nginx.conf, the gateways follow a copy of deploy/compose/rules, and secrets and
certificate are made by deploy/compose/first_start.py. `python -m tests.topology` runs it for people.
"""

from tests.topology.programs import Balancer, Gateway, PostgreSQL, Sandbox, Valkey
from tests.topology.running import Ended, Program
from tests.topology.topology import DEPLOY, Topology, balancer_conf, first_start, network

__all__ = [
    "DEPLOY",
    "Balancer",
    "Ended",
    "Gateway",
    "PostgreSQL",
    "Program",
    "Sandbox",
    "Topology",
    "Valkey",
    "balancer_conf",
    "first_start",
    "network",
]
