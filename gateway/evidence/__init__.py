"""What may be concluded of an order whose outcome at a panel is unknown. Pure: facts come in, a verdict goes out.

    trace       ids at the panel that answer as ours and are bound to nothing
    funds       our money there: did what the order would take go?
    verdicts    the table that weighs the two
    schedule    when to look again
    forecast    how long our money there lasts

The two mistakes are not alike: a false *not placed* buys twice, a false *placed* delays one customer. So nothing
speaks for *not placed* but money that is still there, at a panel whose money has been explained before.
"""
