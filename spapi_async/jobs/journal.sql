-- The journal of bulk jobs: its schema, and every query by name. `sqlite.py` reads this file.
-- States are those of `row.State`. A NULL body belongs to a settled row: a buyer's text is kept no longer than needed.

-- name: schema
-- Version 1, as written to user_version.
CREATE TABLE setting (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
);
CREATE TABLE selling_partner (
    digest   TEXT PRIMARY KEY,     -- keyed digest of the id given, else of the refresh token; never one of them
    is_named INTEGER NOT NULL      -- 1: of an id
);
CREATE TABLE run (
    number  INTEGER PRIMARY KEY,
    started TEXT NOT NULL          -- UTC
);
CREATE TABLE row (
    id              INTEGER PRIMARY KEY,
    selling_partner TEXT NOT NULL,
    kind            TEXT NOT NULL,
    order_id        TEXT NOT NULL,
    key             TEXT NOT NULL,
    run             INTEGER NOT NULL,  -- whose source had it last
    number          INTEGER NOT NULL,  -- its line there
    state           TEXT NOT NULL CHECK (state IN ('READY', 'CLAIMED', 'SENDING', 'SENT', 'REFUSED', 'IN_DOUBT')),
    attempts        INTEGER NOT NULL,
    body            TEXT,
    digest          BLOB NOT NULL,     -- keyed digest of the body, which outlives it
    reason          TEXT NOT NULL,
    request_id      TEXT,
    CHECK ((body IS NULL) = (state IN ('SENT', 'REFUSED', 'IN_DOUBT'))),
    UNIQUE (selling_partner, kind, order_id, key)
);
CREATE INDEX row_of_run ON row (run, state, number);

-- name: get_salt
SELECT value FROM setting WHERE name = 'salt';

-- name: set_salt
INSERT INTO setting (name, value) VALUES ('salt', ?);

-- name: selling_partners
-- Only those for whom something was done: a refresh token that never worked binds nobody.
SELECT digest, is_named FROM selling_partner
WHERE EXISTS (SELECT 1 FROM row WHERE row.selling_partner = selling_partner.digest AND row.state <> 'READY');

-- name: add_selling_partner
INSERT OR IGNORE INTO selling_partner (digest, is_named) VALUES (?, ?);

-- name: adopt_rows
UPDATE row SET selling_partner = :to WHERE selling_partner = :from;

-- name: forget_selling_partner
DELETE FROM selling_partner WHERE digest = ?;

-- name: add_run
INSERT INTO run (started) VALUES (?);

-- name: unfinished_rows
-- Rows in the hand of a run that is dead.
SELECT * FROM row WHERE state IN ('CLAIMED', 'SENDING');

-- name: find_row
SELECT * FROM row WHERE selling_partner = ? AND kind = ? AND order_id = ? AND key = ?;

-- name: add_row
INSERT INTO row (selling_partner, kind, order_id, key, run, number, state, attempts, body, digest, reason)
VALUES (:selling_partner, :kind, :order_id, :key, :run, :number, 'READY', 0, :body, :digest, '');

-- name: renew_row
-- Ready, with the content that the source has now.
UPDATE row SET run = :run, number = :number, state = 'READY', body = :body, digest = :digest, reason = ''
WHERE id = :id;

-- name: touch_row
UPDATE row SET run = :run, number = :number WHERE id = :id;

-- name: ready_rows
SELECT * FROM row WHERE run = ? AND state = 'READY' AND number > ? ORDER BY number LIMIT ?;

-- name: rows_in_state
SELECT * FROM row WHERE run = ? AND state = ? ORDER BY number;

-- name: move_row
-- The old state is part of the condition: a move that somebody else made first changes nothing.
UPDATE row SET state = :state, attempts = :attempts, body = :body, reason = :reason, request_id = :request_id
WHERE id = :id AND state = :old;

-- name: count_rows
SELECT state, count(*) FROM row WHERE run = ? GROUP BY state;
