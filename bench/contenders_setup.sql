-- Puts the stock of one contender on sale, in one of three ways, all of it of the product bench-1: :counter units in its counter, :units
-- in a row each, :tokens received, which receive.sql puts on sale.
DO $$
BEGIN
    IF current_setting('synchronous_commit') = 'off' THEN
        RAISE EXCEPTION 'synchronous_commit is off: claims would be answered that a crash takes back';
    END IF;
END
$$;

INSERT INTO bench_counter (
    sku,
    product_id,
    stock
)
SELECT
    product.sku,
    product.product_id,
    :counter
FROM product
WHERE product.sku = 'bench-1';

INSERT INTO bench_unit (product_id)
SELECT product.product_id
FROM product
CROSS JOIN generate_series(1, :units)
WHERE product.sku = 'bench-1';

INSERT INTO receipt (
    receipt_id,
    product_id,
    quantity,
    reference,
    api_key_id,
    created_at
)
SELECT
    gen_random_uuid(),
    product.product_id,
    least(1000000, :tokens - series.received),
    'bench',
    gen_random_uuid(),
    now()
FROM product
CROSS JOIN generate_series(0, :tokens - 1, 1000000) AS series (received)
WHERE product.sku = 'bench-1';
