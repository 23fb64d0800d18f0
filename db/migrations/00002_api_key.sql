-- +goose Up
CREATE TABLE api_key (
    api_key_id uuid NOT NULL,
    name text NOT NULL,
    key_hash bytea NOT NULL,
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz,
    CONSTRAINT api_key_pkey PRIMARY KEY (api_key_id),
    CONSTRAINT api_key_hash_once UNIQUE (key_hash),
    CONSTRAINT api_key_hash_is_sha256 CHECK (octet_length(key_hash) = 32),
    CONSTRAINT api_key_name_length CHECK (length(name) BETWEEN 1 AND 100),
    CONSTRAINT api_key_scopes_known CHECK (
        cardinality(scopes) > 0
        AND scopes <@ ARRAY['catalog', 'stock', 'sale', 'order', 'claim', 'audit', 'webhook', '*']
    )
);

-- +goose Down
DROP TABLE api_key;
