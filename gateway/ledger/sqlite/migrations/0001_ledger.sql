-- The ledger as it began. Amounts are whole steps of 0.000001; times are milliseconds since 1970.
-- Rules are written with OR: for an IN of three or more, SQLite builds a table at every row it checks (40 us an order).

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The highest ids given so far.
CREATE TABLE counter (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE account (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    unlimited INTEGER NOT NULL CHECK (unlimited IN (0, 1)),
    available INTEGER NOT NULL DEFAULT 0 CHECK (unlimited OR available >= 0),
    held INTEGER NOT NULL DEFAULT 0 CHECK (held >= 0),
    sales INTEGER NOT NULL DEFAULT 0 CHECK (sales >= 0),
    topups INTEGER NOT NULL DEFAULT 0,
    created_ms INTEGER NOT NULL,
    CHECK (available + held + sales + topups = 0)
) STRICT;

CREATE TABLE key (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account INTEGER NOT NULL REFERENCES account (id),
    hash BLOB NOT NULL UNIQUE,
    hint TEXT NOT NULL,
    get_add INTEGER NOT NULL CHECK (get_add IN (0, 1)),
    created_ms INTEGER NOT NULL,
    revoked_ms INTEGER
) STRICT;
CREATE INDEX key_account ON key (account);

CREATE TABLE orders (
    id INTEGER PRIMARY KEY CHECK (id BETWEEN 1 AND 2147483647),
    account INTEGER NOT NULL REFERENCES account (id),
    service INTEGER NOT NULL,
    type TEXT NOT NULL,
    link TEXT NOT NULL,
    fields TEXT NOT NULL,
    quantity INTEGER NOT NULL CHECK (quantity >= 0),
    units INTEGER NOT NULL CHECK (units >= 0),
    charge INTEGER NOT NULL CHECK (charge >= 0),
    refunded INTEGER NOT NULL DEFAULT 0 CHECK (refunded BETWEEN 0 AND charge),
    status TEXT NOT NULL CHECK (
        status = 'Pending' OR status = 'In progress' OR status = 'Processing' OR status = 'Completed'
        OR status = 'Partial' OR status = 'Canceled' OR status = 'Active' OR status = 'Paused' OR status = 'Expired'
    ),
    start_count INTEGER,
    remains INTEGER NOT NULL CHECK (remains >= 0),
    runs INTEGER,
    posts INTEGER,
    expiry TEXT,
    children TEXT NOT NULL DEFAULT '[]',
    refill INTEGER NOT NULL CHECK (refill IN (0, 1)),
    cancel INTEGER NOT NULL CHECK (cancel IN (0, 1)),
    decision TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX orders_account ON orders (account, id);

CREATE TABLE attempt (
    id INTEGER PRIMARY KEY,
    order_id INTEGER NOT NULL REFERENCES orders (id),
    panel TEXT NOT NULL,
    remote_service TEXT NOT NULL,
    state TEXT NOT NULL CHECK (
        state = 'sending' OR state = 'accepted' OR state = 'refused' OR state = 'not_sent' OR state = 'unknown'
    ),
    cost INTEGER NOT NULL CHECK (cost >= 0),
    remote_id TEXT,
    remote_charge TEXT,
    reason TEXT,
    evidence TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    settled_ms INTEGER,
    next_check_ms INTEGER,
    CHECK ((state = 'accepted') = (remote_id IS NOT NULL)),
    CHECK ((state = 'sending' OR state = 'unknown') = (settled_ms IS NULL)),
    CHECK (next_check_ms IS NULL OR state = 'accepted')
) STRICT;
CREATE INDEX attempt_order ON attempt (order_id);
-- An order is bought once: no second attempt while one may have bought it.
CREATE UNIQUE INDEX attempt_live ON attempt (order_id) WHERE state <> 'refused' AND state <> 'not_sent';
-- A panel's id belongs to one attempt.
CREATE UNIQUE INDEX attempt_remote ON attempt (panel, remote_id) WHERE remote_id IS NOT NULL;
CREATE INDEX attempt_due ON attempt (panel, next_check_ms) WHERE next_check_ms IS NOT NULL;
CREATE INDEX attempt_open ON attempt (state) WHERE settled_ms IS NULL;

CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    order_id INTEGER NOT NULL REFERENCES orders (id),
    attempt INTEGER REFERENCES attempt (id),
    at_ms INTEGER NOT NULL,
    what TEXT NOT NULL,
    evidence TEXT NOT NULL
) STRICT;
CREATE INDEX event_order ON event (order_id);

CREATE TABLE transfer (
    id INTEGER PRIMARY KEY,
    account INTEGER NOT NULL REFERENCES account (id),
    order_id INTEGER REFERENCES orders (id),
    what TEXT NOT NULL CHECK (
        what = 'hold' OR what = 'sale' OR what = 'release' OR what = 'refund' OR what = 'topup'
    ),
    note TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    CHECK ((what = 'topup') = (order_id IS NULL))
) STRICT;

CREATE TABLE entry (
    transfer INTEGER NOT NULL REFERENCES transfer (id),
    book TEXT NOT NULL CHECK (book = 'available' OR book = 'held' OR book = 'sales' OR book = 'topups'),
    amount INTEGER NOT NULL CHECK (amount <> 0),
    PRIMARY KEY (transfer, book)
) STRICT, WITHOUT ROWID;

CREATE TABLE refill (
    id INTEGER PRIMARY KEY CHECK (id BETWEEN 1 AND 2147483647),
    order_id INTEGER NOT NULL REFERENCES orders (id),
    panel TEXT NOT NULL,
    remote_id TEXT,
    status TEXT NOT NULL CHECK (status IN ('Pending', 'In progress', 'Completed', 'Rejected', 'Canceled')),
    created_ms INTEGER NOT NULL,
    checked_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX refill_order ON refill (order_id);
CREATE UNIQUE INDEX refill_open ON refill (order_id) WHERE status IN ('Pending', 'In progress');
CREATE INDEX refill_stale ON refill (panel, checked_ms) WHERE status IN ('Pending', 'In progress');

CREATE TABLE snapshot (
    panel TEXT PRIMARY KEY,
    snapshot BLOB NOT NULL,
    fetched_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE service_id (
    id INTEGER PRIMARY KEY CHECK (id >= 1),
    panel TEXT NOT NULL,
    remote_service TEXT NOT NULL,
    UNIQUE (panel, remote_service)
) STRICT;

-- Money that moved and what was seen stay as they were written.
CREATE TRIGGER transfer_kept BEFORE UPDATE ON transfer BEGIN SELECT RAISE(ABORT, 'transfer is append-only'); END;
CREATE TRIGGER transfer_stays BEFORE DELETE ON transfer BEGIN SELECT RAISE(ABORT, 'transfer is append-only'); END;
CREATE TRIGGER entry_kept BEFORE UPDATE ON entry BEGIN SELECT RAISE(ABORT, 'entry is append-only'); END;
CREATE TRIGGER entry_stays BEFORE DELETE ON entry BEGIN SELECT RAISE(ABORT, 'entry is append-only'); END;
CREATE TRIGGER event_kept BEFORE UPDATE ON event BEGIN SELECT RAISE(ABORT, 'event is append-only'); END;
CREATE TRIGGER event_stays BEFORE DELETE ON event BEGIN SELECT RAISE(ABORT, 'event is append-only'); END;
