-- Tokens that are good no more though their time is not over.

CREATE TABLE revocations (
    account_id       INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    -- token: the one whose jti is in name; client: those of the client that name names; account: all, and name is empty.
    kind             TEXT NOT NULL CHECK (kind IN ('token', 'client', 'account')),
    name             TEXT NOT NULL CHECK (length(name) <= 128),
    -- Tokens that were issued before this are refused; one token whenever it was issued.
    issued_before_ms INTEGER NOT NULL CHECK (issued_before_ms >= 0),
    -- Registrations and calls of those that were issued before this end.
    ends_before_ms   INTEGER CHECK (ends_before_ms >= 0),
    -- When the last of these tokens has ended by itself.
    kept_until_ms    INTEGER NOT NULL CHECK (kept_until_ms >= 0),
    CHECK ((kind = 'account') = (name = '')),
    PRIMARY KEY (account_id, kind, name)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER revocations_inserted AFTER INSERT ON revocations
BEGIN UPDATE directory_version SET version = version + 1; END;
CREATE TRIGGER revocations_updated AFTER UPDATE ON revocations
BEGIN UPDATE directory_version SET version = version + 1; END;
CREATE TRIGGER revocations_deleted AFTER DELETE ON revocations
BEGIN UPDATE directory_version SET version = version + 1; END;
