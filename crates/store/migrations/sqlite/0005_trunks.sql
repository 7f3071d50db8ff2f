-- Calls by trunks, and those that applications begin: who is no client.

-- The trunk by which whoever called, or was called, is reached: caller or callee is a number then.
ALTER TABLE records ADD COLUMN caller_trunk TEXT CHECK (length(caller_trunk) BETWEEN 1 AND 64);
ALTER TABLE records ADD COLUMN callee_trunk TEXT CHECK (length(callee_trunk) BETWEEN 1 AND 64);
-- Whether the caller is a service, whose application began the call.
ALTER TABLE records ADD COLUMN caller_is_service INTEGER NOT NULL DEFAULT 0 CHECK (caller_is_service IN (0, 1));
