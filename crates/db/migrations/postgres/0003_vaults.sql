-- Tags of servers and volumes, by which auto_bind chooses; a server and a volume never share an id.
CREATE TABLE inventory_tag (
    resource_id TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (resource_id, key)
);

-- What an order asks for; request is JSON of the kind's own shape.
ALTER TABLE vault_order ADD COLUMN kind TEXT NOT NULL DEFAULT 'create';

-- One row, id 1: how late it is for locked vaults. It follows what a monotonic clock has confirmed, never a step of
-- the host's clock; credit_micros is how much of a time without any worker is still believed.
CREATE TABLE trusted_clock (
    id BIGINT PRIMARY KEY NOT NULL,
    trusted_at BIGINT NOT NULL,
    credit_micros BIGINT NOT NULL
);

-- What somebody is to be told, one row per channel, written in the transaction that caused it. A claim moves run_at
-- ahead and raises attempt, which fences.
CREATE TABLE notification (
    id TEXT PRIMARY KEY NOT NULL,
    event_id TEXT NOT NULL,
    channel TEXT NOT NULL,
    event TEXT NOT NULL,
    state TEXT NOT NULL,
    run_at BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    last_error TEXT,
    created_at BIGINT NOT NULL,
    finished_at BIGINT
);
CREATE INDEX notification_due ON notification (run_at) WHERE state = 'waiting';
