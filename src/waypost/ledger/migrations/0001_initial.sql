-- Times are Unix nanoseconds, latencies microseconds, money nano-dollars. NULL is unknown. JSON is text.

-- One row a call. `place` is the order of ending, which is what a follower needs; ids are in the order of starting.
CREATE TABLE calls (
    place INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    started_ns INTEGER NOT NULL,
    key TEXT,
    team TEXT,
    tags TEXT NOT NULL,         -- JSON: {name: value}
    task TEXT,
    route TEXT,
    revision TEXT NOT NULL,     -- of the configuration
    dialect TEXT,               -- the caller's
    provider TEXT,
    model TEXT,
    profile TEXT,
    outcome TEXT NOT NULL,
    error TEXT,
    status INTEGER,
    stream INTEGER NOT NULL,
    input INTEGER,              -- tokens by kind, disjoint
    cache_read INTEGER,
    cache_write INTEGER,
    output INTEGER,
    reasoning INTEGER,
    estimated INTEGER NOT NULL, -- 1: tokens and cost are an estimate, not what the provider reported
    price TEXT,                 -- JSON: the price that was applied
    cost_nano INTEGER,
    first_byte_us INTEGER,
    total_us INTEGER,
    overhead_us INTEGER,
    cache TEXT NOT NULL,
    decision TEXT,              -- JSON: see `plans` for the part that all calls of one plan share
    dropped TEXT NOT NULL       -- JSON: names of parameters that the provider's protocol could not carry
);
CREATE INDEX calls_started ON calls (started_ns);

CREATE TABLE attempts (
    call_id TEXT NOT NULL,
    n INTEGER NOT NULL,         -- counts from 0
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    profile TEXT,
    outcome TEXT NOT NULL,
    error TEXT,
    status INTEGER,
    first_byte_us INTEGER,
    total_us INTEGER NOT NULL,
    PRIMARY KEY (call_id, n)
) WITHOUT ROWID;

-- Only of routes that store bodies.
CREATE TABLE bodies (
    call_id TEXT PRIMARY KEY,
    request TEXT,
    reply TEXT
) WITHOUT ROWID;

CREATE TABLE plans (
    id TEXT PRIMARY KEY,
    revision TEXT NOT NULL,
    statics TEXT NOT NULL       -- JSON
) WITHOUT ROWID;

-- What each budget was charged in each of its windows. `window_start` is Unix seconds, 0 for a window without end.
CREATE TABLE spend (
    budget TEXT NOT NULL,
    window_start INTEGER NOT NULL,
    nano INTEGER NOT NULL,
    PRIMARY KEY (budget, window_start)
) WITHOUT ROWID;

-- How far each segment of the journal has been moved: committed together with the rows, so that none is moved twice.
CREATE TABLE segments (
    name TEXT PRIMARY KEY,
    moved INTEGER NOT NULL      -- bytes
) WITHOUT ROWID;
