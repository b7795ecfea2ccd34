-- What sessions keep. Plain SQL: nothing here is SQLite's own. No column of a record may be NULL, so that a damaged
-- record never reads like a whole one.

CREATE TABLE sessions (
    id TEXT NOT NULL PRIMARY KEY,
    folder TEXT NOT NULL,
    title TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL,
    -- How many runs it has had; those that retention has forgotten count too.
    runs BIGINT NOT NULL,
    -- Where it forks from: the records of that session up to this one are its own too.
    parent TEXT,
    parent_record BIGINT NOT NULL,
    head_record BIGINT NOT NULL,
    head_hash BYTEA NOT NULL,
    -- The process that wrote last.
    writer TEXT NOT NULL,
    -- 1: gone for everybody, and kept only because forks share its records.
    deleted SMALLINT NOT NULL
);

CREATE INDEX sessions_folder ON sessions (folder);
CREATE INDEX sessions_parent ON sessions (parent) WHERE parent IS NOT NULL;

CREATE TABLE records (
    session TEXT NOT NULL,
    number BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    kind TEXT NOT NULL,
    -- Empty for what belongs to no run.
    run TEXT NOT NULL,
    -- The number of an event in its series; 0 for everything else, and for events that retention has dropped.
    sequence BIGINT NOT NULL,
    -- Where the body is. 0: here; 1: among the blobs, under its hash; 2: nowhere, retention has dropped it.
    stored SMALLINT NOT NULL,
    body_hash BYTEA NOT NULL,
    hash BYTEA NOT NULL,
    body BYTEA NOT NULL,
    PRIMARY KEY (session, number)
);

CREATE INDEX records_checkpoint ON records (session, number) WHERE kind = 'checkpoint';
CREATE INDEX records_told ON records (session, sequence) WHERE kind = 'told';
CREATE INDEX records_event ON records (session, run, sequence) WHERE kind = 'event' AND stored <> 2;
CREATE INDEX records_changed ON records (session, run, number) WHERE kind IN ('changed', 'undone');

CREATE TABLE blobs (
    -- Of the text.
    hash BYTEA NOT NULL PRIMARY KEY,
    -- Of the text, in bytes.
    size BIGINT NOT NULL,
    -- The hash of `content`: a compressed text can differ and still unpack to the same.
    packed_hash BYTEA NOT NULL,
    -- The text, compressed with zstd.
    content BYTEA NOT NULL
);

-- Which record needs which blob. A blob that stands nowhere here is free to go.
CREATE TABLE uses (
    session TEXT NOT NULL,
    number BIGINT NOT NULL,
    hash BYTEA NOT NULL REFERENCES blobs (hash),
    PRIMARY KEY (session, number, hash)
);

CREATE INDEX uses_hash ON uses (hash);

CREATE TABLE runs (
    session TEXT NOT NULL,
    run TEXT NOT NULL,
    -- As JSON.
    snapshot TEXT NOT NULL,
    finished SMALLINT NOT NULL,
    events BIGINT NOT NULL,
    reserved BIGINT NOT NULL,
    first_record BIGINT NOT NULL,
    last_record BIGINT NOT NULL,
    owner TEXT NOT NULL,
    PRIMARY KEY (session, run)
);

CREATE INDEX runs_run ON runs (run);

CREATE TABLE active (
    folder TEXT NOT NULL PRIMARY KEY,
    session TEXT NOT NULL
);

-- The processes that write here.
CREATE TABLE owners (
    id TEXT NOT NULL PRIMARY KEY,
    pid BIGINT NOT NULL,
    -- When the process was started, as the system counts.
    started BIGINT NOT NULL,
    -- Which boot of which machine, and which namespace of process ids.
    boot TEXT NOT NULL,
    heartbeat_ms BIGINT NOT NULL
);
