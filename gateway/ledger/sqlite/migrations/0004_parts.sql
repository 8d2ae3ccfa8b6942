-- Orders that wait until somebody can take them, and orders bought in parts, one after the other.

-- `until_ms` NULL: nothing is done by itself any more, people have to look.
CREATE TABLE waiting (
    order_id INTEGER PRIMARY KEY REFERENCES orders (id),
    until_ms INTEGER,
    why TEXT NOT NULL,
    at_ms INTEGER NOT NULL
) STRICT;

-- Units of the order that are bought only once those of the attempt are delivered.
ALTER TABLE attempt ADD COLUMN later INTEGER NOT NULL DEFAULT 0 CHECK (later >= 0);
CREATE TRIGGER attempt_part BEFORE UPDATE OF later ON attempt
BEGIN SELECT RAISE(ABORT, 'what an attempt sent stays as it was written'); END;
