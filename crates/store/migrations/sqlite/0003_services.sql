-- Services: names that clients call without knowing who answers.

-- The service that was called; callee is then the client that answered for it, or empty.
ALTER TABLE records ADD COLUMN service TEXT;

-- Which clients of the account may call its services.
ALTER TABLE accounts ADD COLUMN service_callers TEXT NOT NULL DEFAULT 'anyone'
    CHECK (service_callers IN ('anyone', 'proven'));

CREATE TABLE services (
    id         INTEGER NOT NULL PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    name       TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 64),
    -- Who answers. clients: those of service_clients, who ring in this order and for so long.
    kind       TEXT NOT NULL CHECK (kind IN ('clients')),
    ring_order TEXT CHECK (ring_order IN ('all', 'in_order', 'round_robin')),
    ring_s     INTEGER CHECK (ring_s BETWEEN 1 AND 60),
    CHECK ((kind = 'clients') = (ring_order IS NOT NULL)),
    CHECK ((kind = 'clients') = (ring_s IS NOT NULL)),
    UNIQUE (account_id, name)
) STRICT;

CREATE TABLE service_clients (
    service_id INTEGER NOT NULL REFERENCES services (id) ON DELETE CASCADE,
    -- Its place in the list, from 0.
    position   INTEGER NOT NULL CHECK (position BETWEEN 0 AND 31),
    client     TEXT NOT NULL CHECK (length(client) BETWEEN 1 AND 128),
    PRIMARY KEY (service_id, position),
    UNIQUE (service_id, client)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER services_inserted AFTER INSERT ON services
BEGIN UPDATE directory_version SET version = version + 1; END;
CREATE TRIGGER services_updated AFTER UPDATE ON services
BEGIN UPDATE directory_version SET version = version + 1; END;
CREATE TRIGGER services_deleted AFTER DELETE ON services
BEGIN UPDATE directory_version SET version = version + 1; END;

CREATE TRIGGER service_clients_inserted AFTER INSERT ON service_clients
BEGIN UPDATE directory_version SET version = version + 1; END;
CREATE TRIGGER service_clients_updated AFTER UPDATE ON service_clients
BEGIN UPDATE directory_version SET version = version + 1; END;
CREATE TRIGGER service_clients_deleted AFTER DELETE ON service_clients
BEGIN UPDATE directory_version SET version = version + 1; END;
