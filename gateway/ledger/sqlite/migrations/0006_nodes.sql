-- Who sells from the ledger: one row a process that does, or did. `beat` counts its signs of life, each of which
-- says by which version of the rules file it goes; `clean`: it stopped in good order.
CREATE TABLE node (
    epoch INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    beat INTEGER NOT NULL DEFAULT 0,
    rules TEXT NOT NULL DEFAULT '',
    started_ms INTEGER NOT NULL,
    ended_ms INTEGER,
    clean INTEGER NOT NULL DEFAULT 0 CHECK (clean = 0 OR clean = 1)
) STRICT;
CREATE INDEX node_living ON node (epoch) WHERE ended_ms IS NULL;
CREATE INDEX node_ended ON node (ended_ms);
INSERT INTO node (epoch, name, started_ms, clean)
SELECT CAST(value AS INTEGER), 'before nodes', 0,
       value = COALESCE((SELECT c.value FROM meta AS c WHERE c.name = 'clean_stop'), '')
FROM meta WHERE name = 'epoch';
DELETE FROM meta WHERE name = 'epoch' OR name = 'clean_stop';
UPDATE node SET ended_ms = 0 WHERE clean = 1;

-- What orders taught of a panel and its row does not have yet: so that many are settled at once, and none waits for it.
-- `taken` is what it took, in its currency; `orders` how many more; `number` its id for one; `rises` whether that id
-- came at once and above the one before it: 1 it did, 0 it did not, NULL it tells nothing.
CREATE TABLE learning (
    id INTEGER PRIMARY KEY,
    panel TEXT NOT NULL,
    taken TEXT NOT NULL,
    orders INTEGER NOT NULL,
    number INTEGER,
    rises INTEGER CHECK (rises = 0 OR rises = 1)
) STRICT;
CREATE INDEX learning_panel ON learning (panel, number);

-- Orders whose answer a customer was there to hear, for others who are asked the same; kept for an hour.
CREATE TABLE answered (
    order_id INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX answered_at ON answered (at_ms);

-- A transfer with its two entries, written at once.
CREATE VIEW movement AS
SELECT t.account, t.order_id, t.what, t.note, t.at_ms, s.book AS source, e.book AS target, e.amount
FROM transfer AS t JOIN entry AS e ON e.transfer = t.id AND e.amount > 0
JOIN entry AS s ON s.transfer = t.id AND s.amount = -e.amount;
CREATE TRIGGER movement_written INSTEAD OF INSERT ON movement BEGIN
    INSERT INTO transfer (account, order_id, what, note, at_ms)
    VALUES (NEW.account, NEW.order_id, NEW.what, NEW.note, NEW.at_ms);
    INSERT INTO entry (transfer, book, amount)
    VALUES (last_insert_rowid(), NEW.source, -NEW.amount), (last_insert_rowid(), NEW.target, NEW.amount);
END;
