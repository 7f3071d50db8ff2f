-- Calls that an account begins to connect two with each other: the caller is neither.
ALTER TABLE records ADD COLUMN caller_is_account INTEGER NOT NULL DEFAULT 0 CHECK (caller_is_account IN (0, 1));
