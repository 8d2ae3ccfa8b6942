-- Routing learns and is held to account: what routes really delivered, the rules that were in force, what accounts may spend.

-- What routes have really done with our orders: weights and sums of shares, none of them money. It takes in what was
-- known of how long orders take.
CREATE TABLE delivered (
    panel TEXT NOT NULL,
    remote_service TEXT NOT NULL,
    orders REAL NOT NULL DEFAULT 0,
    paid REAL NOT NULL DEFAULT 0,
    got REAL NOT NULL DEFAULT 0,
    short REAL NOT NULL DEFAULT 0,
    refills REAL NOT NULL DEFAULT 0,
    seconds REAL NOT NULL DEFAULT 0,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (panel, remote_service)
) STRICT, WITHOUT ROWID;
CREATE INDEX delivered_at ON delivered (at_ms);
INSERT INTO delivered (panel, remote_service, seconds, at_ms)
SELECT panel, remote_service, seconds, COALESCE((SELECT MAX(settled_ms) FROM attempt), 0) FROM usual;
DROP TABLE usual;

-- Rules files that a gateway took, and those that it would not take, with the reason. Keys are in none of them.
CREATE TABLE rules_file (
    id INTEGER PRIMARY KEY,
    version TEXT NOT NULL,
    text TEXT NOT NULL,
    why TEXT NOT NULL,
    at_ms INTEGER NOT NULL
) STRICT;

-- What the orders of accounts with a budget come to, by period of UTC: a day's number since 1970, or minus a month's.
-- A row is made when the first order of its period is placed under a budget.
CREATE TABLE spent (
    account INTEGER NOT NULL REFERENCES account (id),
    period INTEGER NOT NULL,
    amount INTEGER NOT NULL CHECK (amount >= 0),
    PRIMARY KEY (account, period)
) STRICT, WITHOUT ROWID;

-- What a key may do: actions with commas between; empty = all.
ALTER TABLE key ADD COLUMN actions TEXT NOT NULL DEFAULT '';
-- Whether its answers tell which panel took an order.
ALTER TABLE key ADD COLUMN shows_route INTEGER NOT NULL DEFAULT 0 CHECK (shows_route = 0 OR shows_route = 1);

-- How panels' lists changed: one row a service of a panel that came, went or became another. `version` counts the
-- changes of that panel's list.
CREATE TABLE row_change (
    id INTEGER PRIMARY KEY,
    panel TEXT NOT NULL,
    version INTEGER NOT NULL,
    remote_service TEXT NOT NULL,
    was TEXT,
    now TEXT,
    at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX row_change_panel ON row_change (panel, version);
CREATE INDEX row_change_service ON row_change (panel, remote_service);
CREATE INDEX row_change_at ON row_change (at_ms);

-- Rows that moved further than the rules let pass, and that people said yes to.
CREATE TABLE approved (
    panel TEXT NOT NULL,
    remote_service TEXT NOT NULL,
    row TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (panel, remote_service)
) STRICT, WITHOUT ROWID;

-- The last order of a service for a link, for those who let a link have one at a time.
CREATE TABLE active (
    link TEXT NOT NULL,
    service INTEGER NOT NULL,
    order_id INTEGER NOT NULL REFERENCES orders (id),
    PRIMARY KEY (link, service)
) STRICT, WITHOUT ROWID;
