-- What offhook keeps. Times (…_ms) are milliseconds since 1970-01-01 00:00:00 UTC.
-- Never change this file once it was released: add another.

CREATE TABLE secrets (
    name  TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL CHECK (length(value) = 32)
) STRICT;

-- AUTOINCREMENT: a number is never given to a second account, records go on naming the first.
CREATE TABLE accounts (
    id          INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT CHECK (id BETWEEN 1 AND 4294967295),
    cloud_id    TEXT NOT NULL,
    username    TEXT NOT NULL,
    kind        TEXT NOT NULL CHECK (kind IN ('developer', 'production')),
    disabled    INTEGER NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1)),
    access_key  TEXT NOT NULL UNIQUE,
    -- Tokens in a month; -1: unlimited; NULL: as the kind of the account has it.
    token_limit INTEGER CHECK (token_limit >= -1),
    UNIQUE (cloud_id, username)
) STRICT;

CREATE TABLE api_keys (
    id         INTEGER NOT NULL PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    hash       BLOB NOT NULL CHECK (length(hash) = 32),
    -- NULL: the current one.
    expires_ms INTEGER CHECK (expires_ms >= 0),
    UNIQUE (account_id, hash)
) STRICT;

CREATE UNIQUE INDEX api_keys_current ON api_keys (account_id) WHERE expires_ms IS NULL;
CREATE INDEX api_keys_expiry ON api_keys (expires_ms) WHERE expires_ms IS NOT NULL;

CREATE TABLE signing_keys (
    id             INTEGER NOT NULL PRIMARY KEY,
    account_id     INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    kid            TEXT NOT NULL,
    algorithm      TEXT NOT NULL CHECK (algorithm IN ('RS256', 'ES256', 'EdDSA')),
    pkcs8          BLOB NOT NULL,
    -- NULL: the current one.
    expires_ms     INTEGER CHECK (expires_ms >= 0),
    -- The latest expiry of the tokens that were given a longer life than the web service gives; 0: none was.
    last_token_ms  INTEGER NOT NULL DEFAULT 0 CHECK (last_token_ms >= 0),
    UNIQUE (account_id, kid)
) STRICT;

CREATE UNIQUE INDEX signing_keys_current ON signing_keys (account_id) WHERE expires_ms IS NULL;
CREATE INDEX signing_keys_expiry ON signing_keys (expires_ms) WHERE expires_ms IS NOT NULL;

-- One row, counted up by each change of what the directory shows. A running server polls it.
CREATE TABLE directory_version (
    id      INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    version INTEGER NOT NULL
) STRICT;

INSERT INTO directory_version (id, version) VALUES (1, 1);

CREATE TRIGGER accounts_inserted AFTER INSERT ON accounts
BEGIN UPDATE directory_version SET version = version + 1; END;
CREATE TRIGGER accounts_updated AFTER UPDATE ON accounts
BEGIN UPDATE directory_version SET version = version + 1; END;
CREATE TRIGGER accounts_deleted AFTER DELETE ON accounts
BEGIN UPDATE directory_version SET version = version + 1; END;

CREATE TRIGGER api_keys_inserted AFTER INSERT ON api_keys
BEGIN UPDATE directory_version SET version = version + 1; END;
CREATE TRIGGER api_keys_updated AFTER UPDATE ON api_keys
BEGIN UPDATE directory_version SET version = version + 1; END;
CREATE TRIGGER api_keys_deleted AFTER DELETE ON api_keys
BEGIN UPDATE directory_version SET version = version + 1; END;

CREATE TRIGGER signing_keys_inserted AFTER INSERT ON signing_keys
BEGIN UPDATE directory_version SET version = version + 1; END;
-- last_token_ms is not in the directory.
CREATE TRIGGER signing_keys_updated AFTER UPDATE OF account_id, kid, algorithm, pkcs8, expires_ms ON signing_keys
BEGIN UPDATE directory_version SET version = version + 1; END;
CREATE TRIGGER signing_keys_deleted AFTER DELETE ON signing_keys
BEGIN UPDATE directory_version SET version = version + 1; END;

CREATE TABLE token_counts (
    year       INTEGER NOT NULL,
    month      INTEGER NOT NULL CHECK (month BETWEEN 1 AND 12),
    account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    tokens     INTEGER NOT NULL CHECK (tokens >= 0),
    PRIMARY KEY (year, month, account_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE records (
    id          BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    account_id  INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    caller      TEXT NOT NULL,
    callee      TEXT NOT NULL,
    call_id     TEXT NOT NULL,
    started_ms  INTEGER NOT NULL CHECK (started_ms >= 0),
    ringing_ms  INTEGER CHECK (ringing_ms >= 0),
    answered_ms INTEGER CHECK (answered_ms >= 0),
    -- All four, or none while the call goes on.
    ended_ms    INTEGER CHECK (ended_ms >= 0),
    ended_by    TEXT CHECK (ended_by IN ('caller', 'callee', 'server')),
    status      INTEGER CHECK (status BETWEEN 0 AND 65535),
    reason      TEXT,
    CHECK ((ended_ms IS NULL) = (ended_by IS NULL)),
    CHECK ((ended_ms IS NULL) = (status IS NULL)),
    CHECK ((ended_ms IS NULL) = (reason IS NULL))
) STRICT;

CREATE INDEX records_newest ON records (started_ms, id);
CREATE INDEX records_of_account ON records (account_id, started_ms, id);
CREATE INDEX records_going_on ON records (started_ms, id) WHERE ended_ms IS NULL;
