-- Services: names that clients call without knowing who answers.

-- The service that was called; callee is then the client that answered for it, or empty.
ALTER TABLE records ADD COLUMN service TEXT;
