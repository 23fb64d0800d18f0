-- +goose Up
CREATE TABLE audit_run (
    audit_run_id uuid NOT NULL,
    sku text,
    ok boolean NOT NULL,
    checks jsonb NOT NULL,
    api_key_id uuid,
    idempotency_key text,
    started_at timestamptz NOT NULL,
    finished_at timestamptz NOT NULL,
    CONSTRAINT audit_run_pkey PRIMARY KEY (audit_run_id),
    CONSTRAINT audit_run_key_once UNIQUE (api_key_id, idempotency_key),
    CONSTRAINT audit_run_key_length CHECK (length(idempotency_key) BETWEEN 1 AND 255)
);

CREATE INDEX audit_run_by_finish ON audit_run (finished_at);

-- +goose Down
DROP TABLE audit_run;
