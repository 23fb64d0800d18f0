-- +goose Up
-- Whom events are sent to. No types: all of them.
CREATE TABLE webhook (
    webhook_id uuid NOT NULL,
    url text NOT NULL,
    event_types text[] NOT NULL,
    description text NOT NULL,
    enabled boolean NOT NULL,
    disabled_reason text,
    created_at timestamptz NOT NULL,
    CONSTRAINT webhook_pkey PRIMARY KEY (webhook_id),
    CONSTRAINT webhook_reason_of_disabled CHECK (disabled_reason IS NULL OR NOT enabled)
);

COMMENT ON COLUMN webhook.disabled_reason IS 'why lastunit disabled it by itself';

-- What is sent to a webhook is signed with each of its secrets that has not expired: they are here as they are, for that.
CREATE TABLE webhook_secret (
    webhook_secret_id uuid NOT NULL,
    webhook_id uuid NOT NULL,
    secret text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    CONSTRAINT webhook_secret_pkey PRIMARY KEY (webhook_secret_id),
    CONSTRAINT webhook_secret_of_webhook FOREIGN KEY (webhook_id) REFERENCES webhook (webhook_id) ON DELETE CASCADE
);

CREATE UNIQUE INDEX webhook_secret_current_once ON webhook_secret (webhook_id) WHERE expires_at IS NULL;
CREATE INDEX webhook_secret_by_webhook ON webhook_secret (webhook_id);

-- What is to be sent to a webhook, and what became of it. Whoever sends it moves due_at on first, so that nobody else does, and it is due again if they die.
CREATE TABLE webhook_delivery (
    webhook_delivery_id uuid NOT NULL,
    webhook_id uuid NOT NULL,
    event_id uuid NOT NULL,
    event_type text NOT NULL,
    data jsonb,
    asked_for boolean NOT NULL,
    status text NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    due_at timestamptz,
    created_at timestamptz NOT NULL,
    CONSTRAINT webhook_delivery_pkey PRIMARY KEY (webhook_delivery_id),
    CONSTRAINT webhook_delivery_of_webhook FOREIGN KEY (webhook_id) REFERENCES webhook (webhook_id) ON DELETE CASCADE,
    CONSTRAINT webhook_delivery_status_known CHECK (status IN ('pending', 'delivered', 'given_up')),
    CONSTRAINT webhook_delivery_due_while_pending CHECK ((status = 'pending') = (due_at IS NOT NULL))
);

CREATE UNIQUE INDEX webhook_delivery_once ON webhook_delivery (webhook_id, event_id) WHERE NOT asked_for;
CREATE INDEX webhook_delivery_due ON webhook_delivery (webhook_id, due_at) WHERE status = 'pending';
CREATE INDEX webhook_delivery_by_webhook ON webhook_delivery (webhook_id, webhook_delivery_id);
CREATE INDEX webhook_delivery_old ON webhook_delivery (created_at) WHERE status <> 'pending';

COMMENT ON COLUMN webhook_delivery.data IS 'of a test event, which is in no outbox';
COMMENT ON COLUMN webhook_delivery.asked_for IS 'whether somebody asked for it: a replay, or a test';

-- The log: a row an attempt.
CREATE TABLE webhook_attempt (
    webhook_delivery_id uuid NOT NULL,
    attempt integer NOT NULL,
    response_status integer,
    response_body text NOT NULL,
    error text,
    took_ms bigint NOT NULL,
    attempted_at timestamptz NOT NULL,
    CONSTRAINT webhook_attempt_pkey PRIMARY KEY (webhook_delivery_id, attempt),
    CONSTRAINT webhook_attempt_of_delivery FOREIGN KEY (webhook_delivery_id) REFERENCES webhook_delivery (webhook_delivery_id) ON DELETE CASCADE,
    CONSTRAINT webhook_attempt_answer_or_error CHECK (response_status IS NOT NULL OR error IS NOT NULL)
);

-- Up to which event deliveries have been made of all.
CREATE TABLE webhook_cursor (
    only_row boolean NOT NULL DEFAULT true,
    position bigint NOT NULL,
    CONSTRAINT webhook_cursor_pkey PRIMARY KEY (only_row),
    CONSTRAINT webhook_cursor_only_row CHECK (only_row)
);

INSERT INTO webhook_cursor (position)
SELECT coalesce(max(event.position), 0)
FROM event;

-- +goose Down
DROP TABLE webhook_cursor;
DROP TABLE webhook_attempt;
DROP TABLE webhook_delivery;
DROP TABLE webhook_secret;
DROP TABLE webhook;
