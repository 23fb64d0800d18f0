-- Makes the units of all receipts, which have none yet, and puts them on sale.
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
