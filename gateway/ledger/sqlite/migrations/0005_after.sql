-- Units that a panel gave back after their order had gone on from it.
ALTER TABLE attempt ADD COLUMN lost INTEGER NOT NULL DEFAULT 0 CHECK (lost >= 0);

-- How soon orders begin at a route, and how many it cancels.
ALTER TABLE delivered ADD COLUMN start_s REAL NOT NULL DEFAULT 0;
ALTER TABLE delivered ADD COLUMN canceled REAL NOT NULL DEFAULT 0;
