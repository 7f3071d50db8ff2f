-- Services that an application answers for: a program elsewhere, by its pages and the secret that signs requests to it.

-- A check cannot be changed, so both tables are made anew. Their triggers go with them; the directory is the same as before,
-- and its version stays.
CREATE TABLE services_anew (
    id           INTEGER NOT NULL PRIMARY KEY,
    account_id   INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    name         TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 64),
    -- Who answers. clients: those of service_clients, who ring in this order and for so long. application: its pages.
    kind         TEXT NOT NULL CHECK (kind IN ('clients', 'application')),
    ring_order   TEXT CHECK (ring_order IN ('all', 'in_order', 'round_robin')),
    ring_s       INTEGER CHECK (ring_s BETWEEN 1 AND 60),
    first_url    TEXT CHECK (length(first_url) BETWEEN 1 AND 2048),
    first_method TEXT CHECK (first_method IN ('POST', 'GET')),
    final_url    TEXT CHECK (length(final_url) BETWEEN 1 AND 2048),
    final_method TEXT CHECK (final_method IN ('POST', 'GET')),
    error_url    TEXT CHECK (length(error_url) BETWEEN 1 AND 2048),
    error_method TEXT CHECK (error_method IN ('POST', 'GET')),
    -- ASCII. It stays where clients take the application's place, so that it is there when they hand it back.
    secret       BLOB CHECK (length(secret) BETWEEN 32 AND 128),
    CHECK ((kind = 'clients') = (ring_order IS NOT NULL)),
    CHECK ((kind = 'clients') = (ring_s IS NOT NULL)),
    CHECK ((kind = 'application') = (first_url IS NOT NULL)),
    CHECK (kind = 'application' OR (final_url IS NULL AND error_url IS NULL)),
    CHECK ((first_url IS NULL) = (first_method IS NULL)),
    CHECK ((final_url IS NULL) = (final_method IS NULL)),
    CHECK ((error_url IS NULL) = (error_method IS NULL)),
    CHECK (kind = 'clients' OR secret IS NOT NULL),
    UNIQUE (account_id, name)
) STRICT;

CREATE TABLE service_clients_anew (
    service_id INTEGER NOT NULL REFERENCES services_anew (id) ON DELETE CASCADE,
    -- Its place in the list, from 0.
    position   INTEGER NOT NULL CHECK (position BETWEEN 0 AND 31),
    client     TEXT NOT NULL CHECK (length(client) BETWEEN 1 AND 128),
    PRIMARY KEY (service_id, position),
    UNIQUE (service_id, client)
) STRICT, WITHOUT ROWID;

-- What was left behind by hand, where cascades are off by default, belongs to nobody and does not come along.
INSERT INTO services_anew (id, account_id, name, kind, ring_order, ring_s)
    SELECT id, account_id, name, kind, ring_order, ring_s FROM services
    WHERE account_id IN (SELECT id FROM accounts);
INSERT INTO service_clients_anew (service_id, position, client)
    SELECT service_id, position, client FROM service_clients
    WHERE service_id IN (SELECT id FROM services_anew);

-- The clients first: dropping the services would delete them, by the cascade.
DROP TABLE service_clients;
DROP TABLE services;
-- What refers to a table follows its name.
ALTER TABLE services_anew RENAME TO services;
ALTER TABLE service_clients_anew RENAME TO service_clients;

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
