-- +goose Up
CREATE TABLE product (
    product_id bigint GENERATED ALWAYS AS IDENTITY,
    sku text NOT NULL,
    name text,
    description text,
    price_minor bigint,
    currency text,
    image_url text,
    attributes jsonb NOT NULL DEFAULT '{}',
    selling boolean NOT NULL DEFAULT true,
    rehearsal boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT product_pkey PRIMARY KEY (product_id),
    CONSTRAINT product_sku_once UNIQUE (sku),
    CONSTRAINT product_sku_form CHECK (sku ~ '^[A-Za-z0-9._-]{1,64}$'),
    CONSTRAINT product_price_whole CHECK ((price_minor IS NULL) = (currency IS NULL)),
    CONSTRAINT product_price_not_negative CHECK (price_minor >= 0),
    CONSTRAINT product_currency_form CHECK (currency ~ '^[A-Z]{3}$')
);

COMMENT ON COLUMN product.rehearsal IS 'made by a rehearsal: absent from lists, and may be deleted with everything of it';

-- +goose Down
DROP TABLE product;
