"""A whole panel that can misbehave: for a first run, for `panelmux sandbox`, and as the judge of every test of safety.

It shares no code with the providers that talk to panels, so that a mistake of one side cannot hide in the other.

    panel = Sandbox("alpha", key="secret", catalogue=generate(1, 500), faults="add:reset_after@0.05")
    async with panel.serve() as url:            # http://127.0.0.1:…/api/v2
        ...
    panel.journal                               # what was done, whatever was answered
"""

from providers.sandbox.catalogue import Catalogue, load
from providers.sandbox.fault_table import FAULTS, Fault
from providers.sandbox.faults import STORM, Faults, FaultsError, Rule, parse
from providers.sandbox.forms import Denied
from providers.sandbox.generated import generate
from providers.sandbox.journal import Entry, read_journal
from providers.sandbox.panel import Call, Sandbox
from providers.sandbox.progress import FIELD, State, Temper, Tempo

__all__ = (
    "FAULTS",
    "FIELD",
    "STORM",
    "Call",
    "Catalogue",
    "Denied",
    "Entry",
    "Fault",
    "Faults",
    "FaultsError",
    "Rule",
    "Sandbox",
    "State",
    "Temper",
    "Tempo",
    "generate",
    "load",
    "parse",
    "read_journal",
)
