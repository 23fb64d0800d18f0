-- +goose Up
-- Idempotency keys of calls that are not claims, receipts, withdrawals or audits: written in the transaction that does what was called for.
CREATE TABLE call_key (
    caller text NOT NULL,
    operation text NOT NULL,
    idempotency_key text NOT NULL,
    request_hash bytea NOT NULL,
    result_id uuid,
    created_at timestamptz NOT NULL,
    CONSTRAINT call_key_once PRIMARY KEY (caller, operation, idempotency_key),
    CONSTRAINT call_key_length CHECK (length(idempotency_key) BETWEEN 1 AND 255),
    CONSTRAINT call_key_hash_is_sha256 CHECK (octet_length(request_hash) = 32)
);

CREATE INDEX call_key_by_age ON call_key (created_at) WHERE result_id IS NULL;

COMMENT ON COLUMN call_key.result_id IS 'what it made, and as long as which it is kept; null: it made nothing that lasts';

-- +goose Down
DROP TABLE call_key;
