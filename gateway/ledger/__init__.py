"""The durable record: money, orders, attempts, events, last good catalogues."""
