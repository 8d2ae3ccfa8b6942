"""Rules, panels' lists and health as services and offers."""

from gateway.catalog.catalog import Catalog
from gateway.catalog.services import Conflict, Service
from gateway.catalog.sync import Outcome, Synced

__all__ = ["Catalog", "Conflict", "Outcome", "Service", "Synced"]
