-- Tokens that are good no more though their time is not over.

CREATE TABLE revocations (
    account_id       BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    -- token: the one whose jti is in name; client: those of the client that name names; account: all, and name is empty.
    kind             TEXT NOT NULL CHECK (kind IN ('token', 'client', 'account')),
    name             TEXT NOT NULL CHECK (length(name) <= 128),
    -- Tokens that were issued before this are refused; one token whenever it was issued.
    issued_before_ms BIGINT NOT NULL CHECK (issued_before_ms >= 0),
    -- Registrations and calls of those that were issued before this end.
    ends_before_ms   BIGINT CHECK (ends_before_ms >= 0),
    -- When the last of these tokens has ended by itself.
    kept_until_ms    BIGINT NOT NULL CHECK (kept_until_ms >= 0),
    CHECK ((kind = 'account') = (name = '')),
    PRIMARY KEY (account_id, kind, name)
);

CREATE TRIGGER revocations_changed AFTER INSERT OR UPDATE OR DELETE ON revocations
    FOR EACH ROW EXECUTE FUNCTION directory_changed();
