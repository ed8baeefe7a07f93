-- The journal of bulk jobs: its schema, and every query by name. `ledger.py` reads this file.
-- States are those of `row.State`. Moments are seconds since 1970. A NULL body belongs to a row that needs it no more:
-- a buyer's text is kept no longer than needed.

-- name: schema
-- Version 3, as written to user_version.
CREATE TABLE setting (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
);
CREATE TABLE selling_partner (
    id       INTEGER PRIMARY KEY,
    digest   TEXT NOT NULL UNIQUE,  -- keyed digest of the id given, else of the refresh token; never one of them
    is_named INTEGER NOT NULL,      -- 1: of an id
    is_bound INTEGER NOT NULL DEFAULT 0,  -- 1: something was done for it; a refresh token that never worked binds nobody
    label    TEXT NOT NULL DEFAULT '', -- what people see; no secret
    token    TEXT                   -- of an id: keyed digest of the refresh token that it had last; NULL if not known
);
CREATE TABLE job (
    number  INTEGER PRIMARY KEY,
    name    TEXT NOT NULL,
    source  TEXT NOT NULL,          -- the name of the file
    options TEXT NOT NULL,          -- JSON: what it takes to go on with it
    begun   REAL NOT NULL,
    ended   REAL,                   -- NULL while rows of it wait
    loaded  REAL,                   -- when the source was read to its end
    rejected INTEGER NOT NULL DEFAULT 0  -- its lines that became no rows
);
CREATE TABLE part (                 -- who sells what in a job
    job             INTEGER NOT NULL,
    selling_partner INTEGER NOT NULL,
    kind            TEXT NOT NULL,
    PRIMARY KEY (job, selling_partner, kind)
) WITHOUT ROWID;
CREATE TABLE plan (                 -- the usage plans of a part's sending operation over time
    job             INTEGER NOT NULL,
    selling_partner INTEGER NOT NULL,
    kind            TEXT NOT NULL,
    moment          REAL NOT NULL,
    rate            REAL NOT NULL,
    burst           REAL NOT NULL,
    PRIMARY KEY (job, selling_partner, kind, moment)
) WITHOUT ROWID;
CREATE TABLE owner (                -- a process that has the journal open, and its lease on all rows in its hand
    id    INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice
    host  TEXT NOT NULL,
    pid   INTEGER NOT NULL,
    lock  TEXT,                     -- the file that it has locked, beside the journal; NULL where files have no locks
    job   INTEGER,                  -- what it works at
    until REAL NOT NULL             -- the end of its lease
);
CREATE TABLE row (
    id              INTEGER PRIMARY KEY,
    selling_partner INTEGER NOT NULL,
    kind            TEXT NOT NULL,
    order_id        TEXT NOT NULL,
    key             TEXT NOT NULL,
    job             INTEGER NOT NULL,  -- whose source had it last
    number          INTEGER NOT NULL,  -- its line there
    state           TEXT NOT NULL CHECK (state IN ('READY', 'CLAIMED', 'SENDING', 'SENT', 'REFUSED', 'IN_DOUBT')),
    owner           INTEGER,           -- who has it in hand
    attempts        INTEGER NOT NULL,
    not_before      REAL NOT NULL,     -- it is not claimed earlier; 0: at any time
    tried_by        INTEGER,           -- the owner that gave it back last, and leaves it to others
    settled         REAL,              -- the moment of the outcome
    reason          TEXT NOT NULL,
    request_id      TEXT,
    digest          BLOB NOT NULL,     -- keyed digest of the body, which outlives it
    body            TEXT,
    CHECK ((owner IS NOT NULL) = (state IN ('CLAIMED', 'SENDING'))),
    CHECK ((settled IS NOT NULL) = (state IN ('SENT', 'REFUSED', 'IN_DOUBT'))),
    CHECK (body IS NOT NULL OR settled IS NOT NULL),
    UNIQUE (selling_partner, kind, order_id, key)
);
-- Partial, each for the rows of one stage: a move then writes to two of them at most, and to none between claim and
-- outcome.
CREATE INDEX row_ready ON row (job, selling_partner, kind, not_before, number) WHERE state = 'READY';
CREATE INDEX row_held ON row (job, selling_partner, kind, owner) WHERE owner IS NOT NULL;
CREATE INDEX row_settled ON row (job, state, selling_partner, kind, settled) WHERE settled IS NOT NULL;

-- name: from_1
-- From version 1, whose journals only one process had at a time: what is in hand there is in nobody's hand now.
-- The moment of an outcome was not kept: that of its run's beginning is the best there is.
ALTER TABLE row RENAME TO old_row;
ALTER TABLE selling_partner RENAME TO old_selling_partner;
DROP INDEX row_of_run;
{schema};
INSERT INTO selling_partner (digest, is_named, is_bound) SELECT digest, is_named, EXISTS (
    SELECT 1 FROM old_row WHERE selling_partner = digest AND state NOT IN ('READY', 'CLAIMED'))
FROM old_selling_partner;
INSERT INTO job (number, name, source, options, begun, ended)
SELECT number, '', '', '{{}}', CAST(strftime('%s', started) AS REAL), CASE
    WHEN EXISTS (SELECT 1 FROM old_row WHERE run = run.number AND state IN ('READY', 'CLAIMED')) THEN NULL
    ELSE CAST(strftime('%s', started) AS REAL) END
FROM run;
INSERT INTO row (id, selling_partner, kind, order_id, key, job, number, state, owner, attempts, not_before, tried_by,
                 settled, reason, request_id, digest, body)
SELECT old_row.id, selling_partner.id, kind, order_id, key, run, old_row.number,
       CASE state WHEN 'CLAIMED' THEN 'READY' WHEN 'SENDING' THEN 'IN_DOUBT' ELSE state END,
       NULL, attempts, 0, NULL,
       CASE WHEN state NOT IN ('READY', 'CLAIMED') THEN coalesce(job.begun, 0) END,
       CASE state WHEN 'SENDING' THEN :reason ELSE reason END,
       request_id, old_row.digest, body
FROM old_row
JOIN selling_partner ON selling_partner.digest = old_row.selling_partner
LEFT JOIN job ON job.number = old_row.run;
INSERT INTO part SELECT DISTINCT job, selling_partner, kind FROM row;
UPDATE job SET loaded = begun WHERE ended IS NOT NULL;
DROP TABLE old_row;
DROP TABLE old_selling_partner;
DROP TABLE run

-- name: from_2
-- From version 2. Whether the source of a job was read to its end is known only of those that are done.
ALTER TABLE selling_partner ADD COLUMN label TEXT NOT NULL DEFAULT '';
ALTER TABLE selling_partner ADD COLUMN token TEXT;
ALTER TABLE job ADD COLUMN loaded REAL;
ALTER TABLE job ADD COLUMN rejected INTEGER NOT NULL DEFAULT 0;
UPDATE job SET loaded = begun WHERE ended IS NOT NULL;
CREATE TABLE plan (
    job             INTEGER NOT NULL,
    selling_partner INTEGER NOT NULL,
    kind            TEXT NOT NULL,
    moment          REAL NOT NULL,
    rate            REAL NOT NULL,
    burst           REAL NOT NULL,
    PRIMARY KEY (job, selling_partner, kind, moment)
) WITHOUT ROWID;
DROP INDEX row_held;
CREATE INDEX row_held ON row (job, selling_partner, kind, owner) WHERE owner IS NOT NULL

-- name: get_salt
SELECT value FROM setting WHERE name = 'salt';

-- name: set_salt
INSERT INTO setting (name, value) VALUES ('salt', ?);

-- name: bound_selling_partners
SELECT digest, is_named FROM selling_partner WHERE is_bound;

-- name: named_selling_partner_of_token
SELECT max(id), digest FROM selling_partner WHERE token = ? AND is_named AND is_bound;

-- name: note_token
UPDATE selling_partner SET token = :token WHERE digest = :digest AND is_named AND token IS NOT :token;

-- name: bind_selling_partner
UPDATE selling_partner SET is_bound = 1 WHERE id = ? AND NOT is_bound;

-- name: selling_partner_of_digest
SELECT id, is_bound FROM selling_partner WHERE digest = ?;

-- name: digest_of_selling_partner
SELECT digest FROM selling_partner WHERE id = ?;

-- name: add_selling_partner
INSERT INTO selling_partner (digest, is_named) VALUES (?, ?);

-- name: name_selling_partner
UPDATE selling_partner SET digest = :digest, is_named = :is_named WHERE id = :id;

-- name: label_selling_partner
UPDATE selling_partner SET label = :label WHERE id = :id AND label <> :label;

-- name: label_of_selling_partner
SELECT label FROM selling_partner WHERE id = ?;

-- name: drop_rows_of_both
-- Rows of one that the other has too; nothing was done for them.
DELETE FROM row WHERE selling_partner = :from AND EXISTS (
    SELECT 1 FROM row AS other
    WHERE other.selling_partner = :to AND other.kind = row.kind AND other.order_id = row.order_id
      AND other.key = row.key);

-- name: adopt_rows
UPDATE row SET selling_partner = :to WHERE selling_partner = :from;

-- name: adopt_parts
UPDATE OR REPLACE part SET selling_partner = :to WHERE selling_partner = :from;

-- name: adopt_plans
UPDATE OR REPLACE plan SET selling_partner = :to WHERE selling_partner = :from;

-- name: forget_selling_partner
DELETE FROM selling_partner WHERE id = ?;

-- name: add_job
INSERT INTO job (name, source, options, begun) VALUES (?, ?, ?, ?);

-- name: add_part
INSERT OR IGNORE INTO part (job, selling_partner, kind) VALUES (?, ?, ?);

-- name: reopen_job
UPDATE job SET ended = NULL WHERE number = ?;

-- name: job_waits
-- Rows of a job that may have been at its end wait again.
UPDATE job SET ended = NULL WHERE number = ? AND ended IS NOT NULL;

-- name: job_of_row_waits
UPDATE job SET ended = NULL WHERE number = (SELECT job FROM row WHERE id = ?) AND ended IS NOT NULL;

-- name: job_is_loaded
UPDATE job SET loaded = ?, rejected = ? WHERE number = ?;

-- name: end_job
-- If nothing of it waits any more.
UPDATE job SET ended = :now WHERE number = :job AND ended IS NULL
AND NOT EXISTS (SELECT 1 FROM row WHERE job = :job AND state = 'READY')
AND NOT EXISTS (SELECT 1 FROM row INDEXED BY row_held WHERE owner IS NOT NULL AND job = :job);

-- name: jobs
SELECT * FROM job ORDER BY number;

-- name: parts
SELECT digest, kind, label FROM part JOIN selling_partner ON selling_partner.id = part.selling_partner
WHERE job = ? ORDER BY selling_partner.id, kind;

-- name: add_plan
-- If it is another than before.
INSERT OR REPLACE INTO plan (job, selling_partner, kind, moment, rate, burst)
SELECT :job, :selling_partner, :kind, :moment, :rate, :burst WHERE (:rate, :burst) IS NOT (
    SELECT rate, burst FROM plan WHERE job = :job AND selling_partner = :selling_partner AND kind = :kind
    ORDER BY moment DESC LIMIT 1);

-- name: plans
SELECT moment, digest, kind, rate, burst FROM plan JOIN selling_partner ON selling_partner.id = plan.selling_partner
WHERE job = ? ORDER BY moment, selling_partner.id, kind;

-- name: open_job_of_source
SELECT max(job.number) FROM job JOIN owner ON owner.job = job.number
WHERE source = ? AND ended IS NULL AND owner.id <> ?;

-- name: add_owner
INSERT INTO owner (host, pid, lock, job, until) VALUES (:host, :pid, :lock, :job, :until);

-- name: other_owners
SELECT * FROM owner WHERE id IS NOT ?;

-- name: renew_owner
UPDATE owner SET until = ? WHERE id = ?;

-- name: owner_works_at
UPDATE owner SET job = ? WHERE id = ?;

-- name: remove_owner
DELETE FROM owner WHERE id = ?;

-- name: rows_of_owner
SELECT * FROM row INDEXED BY row_held WHERE owner IS NOT NULL AND owner = ?;

-- name: rows_in_hand
SELECT * FROM row INDEXED BY row_held WHERE owner = ? AND job = ? AND selling_partner = ? AND kind = ?
AND state = 'CLAIMED';

-- name: count_in_other_hands
SELECT count(*) FROM row INDEXED BY row_held WHERE owner IS NOT NULL AND owner <> ? AND job = ?
AND selling_partner = ? AND kind = ?;

-- name: count_in_hand
-- Of any job, as below what was sent: the limit of a day is the selling partner's.
SELECT count(*) FROM row INDEXED BY row_held WHERE owner IS NOT NULL AND job IN (SELECT number FROM job)
AND selling_partner = :selling_partner AND kind = :kind;

-- name: find_row
SELECT * FROM row WHERE selling_partner = ? AND kind = ? AND order_id = ? AND key = ?;

-- name: get_row
SELECT * FROM row WHERE id = ?;

-- name: add_row
INSERT INTO row (selling_partner, kind, order_id, key, job, number, state, attempts, not_before, reason, digest, body)
VALUES (?, ?, ?, ?, ?, ?, 'READY', 0, ?, '', ?, ?)
ON CONFLICT (selling_partner, kind, order_id, key) DO NOTHING;

-- name: renew_row
-- Ready, with the content that the source has now.
UPDATE row SET job = :job, number = :number, state = 'READY', body = :body, digest = :digest, reason = '',
    settled = NULL, tried_by = NULL, not_before = :not_before
WHERE id = :id;

-- name: touch_row
UPDATE row SET job = :job, number = :number WHERE id = :id;

-- name: ready_rows
-- Of many parts, as one text: reading record by record, the thread would fight for the interpreter with the event loop
-- at each.
SELECT json_group_array(json((
    SELECT json_group_array(json_array(id, number, order_id, key, json(body), attempts, request_id, not_before)) FROM (
        SELECT * FROM row WHERE job = json_extract(part.value, '$[0]')
        AND selling_partner = json_extract(part.value, '$[1]') AND kind = json_extract(part.value, '$[2]')
        AND state = 'READY' AND not_before <= :now AND tried_by IS NOT :owner
        ORDER BY not_before, number LIMIT :limit)
))) FROM json_each(:parts) AS part;

-- name: forget_tries
UPDATE row SET tried_by = NULL WHERE job = :job AND selling_partner = :selling_partner AND kind = :kind
AND state = 'READY' AND tried_by = :owner;

-- name: next_attempt
SELECT min(not_before) FROM row WHERE job = ? AND selling_partner = ? AND kind = ? AND state = 'READY'
AND not_before > ?;

-- name: marketplaces_of_next
SELECT DISTINCT json_extract(body, '$.marketplace_id') AS marketplace_id FROM (
    SELECT body FROM row INDEXED BY row_ready WHERE job = ? AND state = 'READY' LIMIT 200)
WHERE marketplace_id IS NOT NULL;

-- name: rows_in_state
SELECT * FROM row WHERE job = ? AND selling_partner = ? AND kind = ? AND state = ? ORDER BY number;

-- name: settled_rows_in_state
SELECT * FROM row INDEXED BY row_settled WHERE settled IS NOT NULL AND job = ? AND selling_partner = ? AND kind = ?
AND state = ? ORDER BY number;

-- name: doubts
SELECT * FROM row INDEXED BY row_settled WHERE settled IS NOT NULL AND job = ? AND state = 'IN_DOUBT' ORDER BY number;

-- name: ids_of_job
SELECT id FROM row WHERE job = ? ORDER BY number, id;

-- name: rows_of_ids
SELECT * FROM row WHERE id IN (SELECT value FROM json_each(?)) ORDER BY number, id;

-- name: refused_rows
SELECT * FROM row INDEXED BY row_settled WHERE settled IS NOT NULL AND job = ? AND state = 'REFUSED'
ORDER BY number, id LIMIT ?;

-- name: reasons
SELECT selling_partner, kind, state, reason, count(*) AS count FROM row INDEXED BY row_settled
WHERE settled IS NOT NULL AND job = ? AND state IN ('REFUSED', 'IN_DOUBT')
GROUP BY selling_partner, kind, state, reason ORDER BY selling_partner, kind, state, count DESC, reason;

-- name: claim_row
-- The old state, the exchange and the owner are part of the condition, here and below: a move that somebody else made
-- first, or that is not one's own any more, changes nothing.
UPDATE row SET state = :state, owner = :new_owner, reason = ''
WHERE id = :id AND state = :old AND attempts = :old_attempts AND owner IS :owner;

-- name: claim_rows
UPDATE row SET state = 'CLAIMED', owner = :owner, reason = ''
WHERE id IN (SELECT value FROM json_each(:ids)) AND state = 'READY';

-- name: defer_rows
UPDATE row SET state = 'READY', owner = NULL, reason = '', not_before = :until, tried_by = NULL
WHERE id IN (SELECT value FROM json_each(:ids)) AND state = 'CLAIMED' AND +owner = :owner;

-- name: begin_rows
-- Like step_row, of many at once.
UPDATE row SET state = 'SENDING', attempts = attempts + 1, reason = ''
WHERE id IN (SELECT value FROM json_each(:ids)) AND state = 'CLAIMED' AND attempts = :attempts AND +owner = :owner;

-- name: accept_rows
-- Like settle_row, of many at once that were sent.
UPDATE row SET state = 'SENT', owner = NULL, reason = '', request_id = moved.request_id, settled = :settled,
    body = CASE WHEN :keep_body THEN body END
FROM (SELECT json_extract(value, '$[0]') AS id, json_extract(value, '$[1]') AS attempts,
             json_extract(value, '$[2]') AS request_id FROM json_each(:rows)) AS moved
-- The + keeps SQLite from going over all that is in hand for each of them.
WHERE row.id = moved.id AND row.state = 'SENDING' AND row.attempts = moved.attempts AND +row.owner = :owner;

-- name: step_row
-- From CLAIMED to SENDING or back: it stays in hand.
UPDATE row SET state = :state, attempts = :attempts, reason = :reason, request_id = :request_id
WHERE id = :id AND state = :old AND attempts = :old_attempts AND owner IS :owner;

-- name: free_row
UPDATE row SET state = :state, owner = NULL, reason = :reason, request_id = :request_id, settled = NULL,
    not_before = :not_before, tried_by = :tried_by
WHERE id = :id AND state = :old AND attempts = :old_attempts AND owner IS :owner;

-- name: settle_row
UPDATE row SET state = :state, owner = NULL, reason = :reason, request_id = :request_id, settled = :settled,
    body = CASE WHEN :keep_body THEN body END
WHERE id = :id AND state = :old AND attempts = :old_attempts AND owner IS :owner;

-- name: count_rows
-- Each stage from its own index, without touching a row. Those between claim and outcome are few.
SELECT state, selling_partner, kind, count(*) AS count FROM row
WHERE job = :job AND settled IS NOT NULL GROUP BY state, selling_partner, kind
UNION ALL
SELECT 'READY', selling_partner, kind, count(*) FROM row WHERE job = :job AND state = 'READY'
GROUP BY selling_partner, kind
UNION ALL
SELECT state, selling_partner, kind, count(*) FROM row INDEXED BY row_held WHERE owner IS NOT NULL AND job = :job
GROUP BY state, selling_partner, kind;

-- name: count_rows_of_part
SELECT state, count(*) AS count FROM row WHERE job = :job AND settled IS NOT NULL
AND state IN ('SENT', 'REFUSED', 'IN_DOUBT') AND selling_partner = :selling_partner AND kind = :kind GROUP BY state
UNION ALL
SELECT 'READY', count(*) FROM row WHERE job = :job AND selling_partner = :selling_partner AND kind = :kind
AND state = 'READY'
UNION ALL
SELECT state, count(*) FROM row INDEXED BY row_held WHERE owner IS NOT NULL AND job = :job
AND selling_partner = :selling_partner AND kind = :kind GROUP BY state;

-- name: outcomes
SELECT CAST(settled / :width AS INTEGER) * :width AS since, state, selling_partner, kind, count(*) AS count FROM row
WHERE job = :job AND settled >= :from GROUP BY 1, 2, 3, 4 ORDER BY 1;

-- name: count_settled_since
-- A row in doubt counts: the buyer may have got it.
SELECT count(*) FROM row INDEXED BY row_settled WHERE settled IS NOT NULL AND job IN (SELECT number FROM job)
AND state IN ('SENT', 'IN_DOUBT') AND selling_partner = ? AND kind = ? AND settled >= ?;
