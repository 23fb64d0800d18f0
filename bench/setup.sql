-- Makes the products 1 to 4 with 200 units each. What an earlier run has left is deleted; a database that holds anything else is
-- refused.
DO $$
BEGIN
    IF EXISTS (SELECT FROM product WHERE product.sku !~ '^bench-[1-4]$') THEN
        RAISE EXCEPTION 'this database has products of its own, and the benchmark deletes everything: give it a scratch database';
    END IF;
END
$$;

TRUNCATE
    product,
    receipt,
    unit,
    withdrawal,
    withdrawal_unit,
    quarantine_unit,
    stock_token,
    stock_out,
    claim,
    claim_unit,
    queue_head,
    queue_tail,
    sale,
    sale_item,
    sale_buyer,
    sale_change,
    shop_order,
    payment,
    refund
RESTART IDENTITY;

INSERT INTO product (sku)
SELECT 'bench-' || series.n
FROM generate_series(1, 4) AS series (n)
ORDER BY series.n;

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
    200,
    'bench',
    gen_random_uuid(),
    now()
FROM product;

WITH made AS (
    INSERT INTO unit (
        unit_id,
        product_id,
        receipt_id
    )
    SELECT
        uuid_v7_nth((extract(epoch FROM now()) * 1000)::bigint, series.n),
        receipt.product_id,
        receipt.receipt_id
    FROM receipt
    CROSS JOIN generate_series(1, receipt.quantity) AS series (n)
    RETURNING
        unit.unit_id,
        unit.product_id
)
INSERT INTO stock_token (
    product_id,
    pool_id,
    position,
    unit_id
)
SELECT
    made.product_id,
    0,
    nextval('stock_token_position'),
    made.unit_id
FROM made;
