-- What many calls have in common is told once, in `kinds`, and what a call has for itself in `entries`, attempts included:
-- moving a call takes a third of the work that way. `calls` and `attempts` are views with the columns they had as tables.

-- One row a call. `place` is the order of ending, which is what a follower needs; ids are in the order of starting.
CREATE TABLE entries (
    place INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    started_ns INTEGER NOT NULL,
    kind INTEGER NOT NULL,      -- kinds.id
    input INTEGER,
    cache_read INTEGER,
    cache_write INTEGER,
    output INTEGER,
    reasoning INTEGER,
    cost_nano INTEGER,
    first_byte_us INTEGER,
    total_us INTEGER,
    overhead_us INTEGER,
    tags TEXT NOT NULL,         -- not in `kinds`: callers invent them, and may invent one a call
    decision TEXT,
    attempts TEXT NOT NULL      -- JSON: one array an attempt, with the members that the view `attempts` names, in its order
);

-- Two rows may say the same: a process that starts does not look for the kinds of the one before it.
CREATE TABLE kinds (
    id INTEGER PRIMARY KEY,
    key TEXT,
    team TEXT,
    task TEXT,
    route TEXT,
    revision TEXT NOT NULL,
    dialect TEXT,
    provider TEXT,
    model TEXT,
    profile TEXT,
    outcome TEXT NOT NULL,
    error TEXT,
    status INTEGER,
    stream INTEGER NOT NULL,
    estimated INTEGER NOT NULL,
    price TEXT,
    cache TEXT NOT NULL,
    dropped TEXT NOT NULL
);

INSERT INTO kinds
SELECT MIN(place), key, team, task, route, revision, dialect, provider, model, profile, outcome, error, status, stream,
    estimated, price, cache, dropped
FROM calls
GROUP BY key, team, task, route, revision, dialect, provider, model, profile, outcome, error, status, stream,
    estimated, price, cache, dropped;

INSERT INTO entries
SELECT place, id, started_ns,
    MIN(place) OVER (
        PARTITION BY key, team, task, route, revision, dialect, provider, model, profile, outcome, error, status,
            stream, estimated, price, cache, dropped
    ),
    input, cache_read, cache_write, output, reasoning, cost_nano, first_byte_us, total_us, overhead_us, tags, decision,
    (
        SELECT json_group_array(
            json_array(provider, model, profile, outcome, error, status, first_byte_us, total_us)
        )
        FROM (SELECT * FROM attempts WHERE call_id = calls.id ORDER BY n)
    )
FROM calls
ORDER BY place;

DROP TABLE calls;
DROP TABLE attempts;
CREATE INDEX calls_started ON entries (started_ns);

-- CROSS JOIN: entries first, in their order or by their indexes; a kind is found by its number.
CREATE VIEW calls AS
SELECT place, entries.id AS id, started_ns, key, team, tags, task, route, revision, dialect, provider, model, profile, outcome,
    error, status, stream, input, cache_read, cache_write, output, reasoning, estimated, price, cost_nano, first_byte_us,
    total_us, overhead_us, cache, decision, dropped, attempts
FROM entries CROSS JOIN kinds ON kinds.id = entries.kind;

CREATE VIEW attempts AS
SELECT entries.id AS call_id, attempt.key AS n,
    json_extract(attempt.value, '$[0]') AS provider,
    json_extract(attempt.value, '$[1]') AS model,
    json_extract(attempt.value, '$[2]') AS profile,
    json_extract(attempt.value, '$[3]') AS outcome,
    json_extract(attempt.value, '$[4]') AS error,
    json_extract(attempt.value, '$[5]') AS status,
    json_extract(attempt.value, '$[6]') AS first_byte_us,
    json_extract(attempt.value, '$[7]') AS total_us
FROM entries, json_each(entries.attempts) AS attempt;
