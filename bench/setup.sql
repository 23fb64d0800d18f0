-- Makes the products 1 to 4 and receipts of 200 units for each, which receive.sql puts on sale. What an earlier run has left is
-- deleted; a database that holds anything else is refused.
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
