"""The rules file: what is sold, and where it is bought.

A file is read whole or not at all. `load` gives `Rules`, or one `RulesError` with every mistake and its place.
"""

from gateway.rules.loading import SIZE, load, parse, version_of
from gateway.rules.model import Ids, Panel, Publish, RateFrom, Route, Rules, Service
from gateway.rules.report import Mistake, RulesError
from gateway.rules.shapes import schema

__all__ = [
    "SIZE",
    "Ids",
    "Mistake",
    "Panel",
    "Publish",
    "RateFrom",
    "Route",
    "Rules",
    "RulesError",
    "Service",
    "load",
    "parse",
    "schema",
    "version_of",
]
