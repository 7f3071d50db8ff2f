-- What our relays did: for each side of a call, and for each account in a month.

-- Packets, and bytes of data in them; sent: from the client to its peers.
ALTER TABLE records ADD COLUMN caller_sent_packets     INTEGER NOT NULL DEFAULT 0 CHECK (caller_sent_packets >= 0);
ALTER TABLE records ADD COLUMN caller_sent_bytes       INTEGER NOT NULL DEFAULT 0 CHECK (caller_sent_bytes >= 0);
ALTER TABLE records ADD COLUMN caller_received_packets INTEGER NOT NULL DEFAULT 0 CHECK (caller_received_packets >= 0);
ALTER TABLE records ADD COLUMN caller_received_bytes   INTEGER NOT NULL DEFAULT 0 CHECK (caller_received_bytes >= 0);
ALTER TABLE records ADD COLUMN callee_sent_packets     INTEGER NOT NULL DEFAULT 0 CHECK (callee_sent_packets >= 0);
ALTER TABLE records ADD COLUMN callee_sent_bytes       INTEGER NOT NULL DEFAULT 0 CHECK (callee_sent_bytes >= 0);
ALTER TABLE records ADD COLUMN callee_received_packets INTEGER NOT NULL DEFAULT 0 CHECK (callee_received_packets >= 0);
ALTER TABLE records ADD COLUMN callee_received_bytes   INTEGER NOT NULL DEFAULT 0 CHECK (callee_received_bytes >= 0);

CREATE TABLE relay_bytes (
    year       INTEGER NOT NULL,
    month      INTEGER NOT NULL CHECK (month BETWEEN 1 AND 12),
    account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    bytes      INTEGER NOT NULL CHECK (bytes >= 0),
    PRIMARY KEY (year, month, account_id)
) STRICT, WITHOUT ROWID;
