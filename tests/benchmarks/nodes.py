"""What a second process that sells adds, on one PostgreSQL: in turn, several rounds; the median of the ratios counts.

    python -m tests.benchmarks.nodes

All of it runs on this machine: the database, the panel, the customers, and one gateway or two. Where these have to
share too few cores, two gateways take from one another what they are to add.
"""
