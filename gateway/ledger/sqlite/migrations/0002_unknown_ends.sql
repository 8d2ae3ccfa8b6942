-- Unknown outcomes end by themselves: what an attempt is judged by, what is learned of panels, and what customers and
-- people want kept. The attempts are moved to a table with more columns and states.

ALTER TABLE orders ADD COLUMN sold INTEGER NOT NULL DEFAULT 0 CHECK (sold = 0 OR sold = 1);
ALTER TABLE orders ADD COLUMN fingerprint BLOB NOT NULL DEFAULT x'';
UPDATE orders SET sold = 1 WHERE id IN (SELECT order_id FROM attempt WHERE state = 'accepted');

ALTER TABLE event ADD COLUMN word TEXT;

CREATE TABLE attempt_before AS SELECT * FROM attempt;
DROP TABLE attempt;
CREATE TABLE attempt (
    id INTEGER PRIMARY KEY,
    order_id INTEGER NOT NULL REFERENCES orders (id),
    panel TEXT NOT NULL,
    remote_service TEXT NOT NULL,
    state TEXT NOT NULL CHECK (
        state = 'sending' OR state = 'accepted' OR state = 'refused' OR state = 'not_sent' OR state = 'unknown'
        OR state = 'untracked' OR state = 'not_placed'
    ),
    units INTEGER NOT NULL CHECK (units >= 0),
    cost INTEGER NOT NULL CHECK (cost >= 0),
    remote_cost TEXT,
    remote_id TEXT,
    remote_charge TEXT,
    taken TEXT,
    floor INTEGER,
    epoch INTEGER NOT NULL DEFAULT 0,
    passed_on INTEGER NOT NULL DEFAULT 0 CHECK (passed_on = 0 OR (passed_on = 1 AND state = 'accepted')),
    duplicate_seen INTEGER NOT NULL DEFAULT 0 CHECK (duplicate_seen = 0 OR duplicate_seen = 1),
    reason TEXT,
    looks INTEGER NOT NULL DEFAULT 0,
    why TEXT NOT NULL DEFAULT '',
    created_ms INTEGER NOT NULL,
    settle_ms INTEGER NOT NULL,
    settled_ms INTEGER,
    ended_ms INTEGER,
    next_ms INTEGER,
    CHECK ((state = 'accepted') = (remote_id IS NOT NULL)),
    CHECK ((state = 'sending' OR state = 'unknown') = (settled_ms IS NULL)),
    CHECK (next_ms IS NULL OR state = 'accepted' OR state = 'unknown' OR state = 'untracked')
) STRICT;
INSERT INTO attempt (id, order_id, panel, remote_service, state, units, cost, remote_id, remote_charge, taken, reason,
                     created_ms, settle_ms, settled_ms, ended_ms, next_ms)
SELECT b.id, b.order_id, b.panel, b.remote_service, b.state, o.units, b.cost, b.remote_id, b.remote_charge,
       b.remote_charge, b.reason, b.created_ms, b.created_ms + 300000, b.settled_ms,
       CASE WHEN b.state = 'accepted' AND b.next_check_ms IS NULL THEN o.updated_ms END,
       CASE WHEN b.state = 'unknown' THEN b.created_ms + 300000 ELSE b.next_check_ms END
FROM attempt_before AS b JOIN orders AS o ON o.id = b.order_id ORDER BY b.id;
DROP TABLE attempt_before;
CREATE INDEX attempt_order ON attempt (order_id);
-- An order is bought once: no second attempt while one may have bought it, or bought it and still counts.
CREATE UNIQUE INDEX attempt_live ON attempt (order_id)
    WHERE state = 'sending' OR state = 'unknown' OR state = 'untracked' OR (state = 'accepted' AND passed_on = 0);
-- A panel's id belongs to one attempt.
CREATE UNIQUE INDEX attempt_remote ON attempt (panel, remote_id) WHERE remote_id IS NOT NULL;
CREATE INDEX attempt_bought ON attempt (panel, id) WHERE remote_id IS NOT NULL;
CREATE INDEX attempt_due ON attempt (panel, next_ms) WHERE next_ms IS NOT NULL AND state = 'accepted';
CREATE INDEX attempt_open ON attempt (state) WHERE settled_ms IS NULL;
CREATE INDEX attempt_untracked ON attempt (state) WHERE state = 'untracked';

-- What was sent, and where, stays as it was written; and what has ended stays ended.
CREATE TRIGGER attempt_stays BEFORE DELETE ON attempt BEGIN SELECT RAISE(ABORT, 'an attempt stays'); END;
CREATE TRIGGER attempt_kept BEFORE UPDATE OF id, order_id, panel, remote_service, units, cost, created_ms, epoch
ON attempt BEGIN SELECT RAISE(ABORT, 'what an attempt sent stays as it was written'); END;
CREATE TRIGGER attempt_ended BEFORE UPDATE OF state, remote_id ON attempt
WHEN (OLD.state = 'refused' OR OLD.state = 'not_sent' OR OLD.state = 'not_placed' OR OLD.state = 'accepted')
    AND (NEW.state <> OLD.state OR NEW.remote_id IS NOT OLD.remote_id)
BEGIN SELECT RAISE(ABORT, 'an attempt that ended stays ended'); END;
CREATE TRIGGER attempt_backwards BEFORE UPDATE OF state ON attempt
WHEN (NEW.state = 'sending' AND OLD.state <> 'sending')
    OR (NEW.state = 'unknown' AND OLD.state <> 'sending' AND OLD.state <> 'unknown')
    OR (OLD.state = 'untracked' AND NEW.state <> 'untracked' AND NEW.state <> 'accepted')
    OR ((NEW.state = 'not_placed' OR NEW.state = 'untracked') AND OLD.state = 'sending')
BEGIN SELECT RAISE(ABORT, 'an attempt does not go back'); END;
CREATE TRIGGER order_stays BEFORE DELETE ON orders BEGIN SELECT RAISE(ABORT, 'an order stays'); END;
CREATE TRIGGER order_kept BEFORE UPDATE OF id, account, service, type, link, fields, quantity, units, created_ms
ON orders BEGIN SELECT RAISE(ABORT, 'what a customer ordered stays as it was written'); END;
CREATE TRIGGER order_refunds BEFORE UPDATE OF refunded, sold ON orders
WHEN NEW.refunded < OLD.refunded OR NEW.sold < OLD.sold
BEGIN SELECT RAISE(ABORT, 'what was given back or sold stays so'); END;

-- What our orders have taught us of each panel; amounts in its own currency, as text.
CREATE TABLE panel (
    name TEXT PRIMARY KEY,
    taken TEXT NOT NULL DEFAULT '0',
    orders INTEGER NOT NULL DEFAULT 0,
    highest INTEGER,
    rising INTEGER NOT NULL DEFAULT 0,
    foreign_answers INTEGER CHECK (foreign_answers = 0 OR foreign_answers = 1),
    proven INTEGER NOT NULL DEFAULT 0,
    stopped TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;
INSERT INTO panel (name) SELECT DISTINCT panel FROM attempt;

CREATE TABLE reading (
    id INTEGER PRIMARY KEY,
    panel TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    balance TEXT NOT NULL,
    taken TEXT NOT NULL,
    unit TEXT NOT NULL,
    agreed INTEGER NOT NULL CHECK (agreed = 0 OR agreed = 1),
    orders INTEGER NOT NULL,
    why TEXT NOT NULL
) STRICT;
CREATE INDEX reading_panel ON reading (panel, id);

-- How long the orders of a panel's service take, seconds, smoothed.
CREATE TABLE usual (
    panel TEXT NOT NULL,
    remote_service TEXT NOT NULL,
    orders INTEGER NOT NULL,
    seconds INTEGER NOT NULL,
    PRIMARY KEY (panel, remote_service)
) STRICT, WITHOUT ROWID;

-- A customer's own name for a request, kept for a day.
CREATE TABLE request (
    account INTEGER NOT NULL REFERENCES account (id),
    name BLOB NOT NULL,
    fingerprint BLOB NOT NULL,
    order_id INTEGER NOT NULL REFERENCES orders (id),
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (account, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX request_at ON request (at_ms);
CREATE INDEX request_order ON request (order_id);

CREATE TABLE wish (
    id INTEGER PRIMARY KEY,
    order_id INTEGER NOT NULL REFERENCES orders (id),
    what TEXT NOT NULL CHECK (what = 'cancel' OR what = 'failover'),
    by TEXT NOT NULL,
    reason TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    told INTEGER NOT NULL DEFAULT 0,
    done_ms INTEGER
) STRICT;
CREATE UNIQUE INDEX wish_open ON wish (order_id, what) WHERE done_ms IS NULL;
CREATE INDEX wish_done ON wish (done_ms);

ALTER TABLE key ADD COLUMN repeats TEXT NOT NULL DEFAULT 'join';
