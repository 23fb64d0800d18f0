-- A sale of so many claims, an hour long, as rows: of 20 claims 14 were paid for, 1 was ordered and never paid for, 4 lapsed, 1 was given back; of 100 paid ones 1 came back.
CREATE TEMPORARY TABLE made AS
SELECT
    n,
    uuid_v7_nth(base.ms, n) AS claim_id,
    uuid_v7_nth(base.ms, n) AS order_id,
    gen_random_uuid() AS unit_id,
    product.product_id,
    base.opens_at + n * interval '3600 seconds' / base.claims AS created_at,
    CASE WHEN n % 20 < 15 THEN 'ordered' WHEN n % 20 < 19 THEN 'expired' ELSE 'released' END AS status,
    n % 20 = 14 AS cancelled,
    n % 20 < 14 AND n % 100 = 0 AS returned
FROM (
    SELECT
        sale.sale_id,
        sale.opens_at,
        $2::bigint AS claims,
        (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS ms
    FROM sale
    WHERE sale.sale_id = $1::uuid
) AS base
CROSS JOIN generate_series(1, base.claims) AS n
JOIN (
    SELECT sale_item.product_id, row_number() OVER (ORDER BY sale_item.product_id) - 1 AS nth
    FROM sale_item
    WHERE sale_item.sale_id = $1::uuid
) AS product ON product.nth = n % $3::bigint;

INSERT INTO claim (claim_id, buyer, product_id, pool_id, quantity, status, price_minor, currency, created_at, expires_at, ended_at, sale_id, order_id)
SELECT claim_id, 'buyer-' || n, product_id, 0, 1, status, 6900, 'EUR', created_at, created_at + interval '10 minutes',
    CASE status WHEN 'expired' THEN created_at + interval '10 minutes' ELSE created_at + interval '30 seconds' END,
    $1::uuid, CASE WHEN status = 'ordered' THEN order_id END
FROM made
ORDER BY n;

INSERT INTO claim_unit (claim_id, unit_id, released_at, outcome)
SELECT claim_id, unit_id,
    CASE WHEN status <> 'ordered' OR cancelled OR returned THEN created_at + interval '11 minutes' END,
    CASE WHEN cancelled THEN 'cancelled' WHEN returned THEN 'returned' END
FROM made
ORDER BY n;

INSERT INTO shop_order (order_id, buyer, status, reason, provider, total_minor, currency, refunded_minor, created_at, paid_at, ended_at)
SELECT order_id, 'buyer-' || n, CASE WHEN cancelled THEN 'cancelled' WHEN returned THEN 'refunded' ELSE 'paid' END, CASE WHEN cancelled THEN 'payment-overdue' END,
    'test', 6900, 'EUR', CASE WHEN returned THEN 6900 ELSE 0 END, created_at + interval '30 seconds', CASE WHEN NOT cancelled THEN created_at + interval '60 seconds' END,
    CASE WHEN cancelled OR returned THEN created_at + interval '11 minutes' END
FROM made
WHERE status = 'ordered'
ORDER BY n;

INSERT INTO refund (refund_id, order_id, status, reason, amount_minor, currency, created_at, settled_at)
SELECT uuid_v7_nth((extract(epoch FROM clock_timestamp()) * 1000)::bigint, n), order_id, 'succeeded', 'returned', 6900, 'EUR', created_at, created_at
FROM made
WHERE returned;

INSERT INTO sale_buyer (sale_id, buyer, unit_count, purchase_limit)
SELECT $1::uuid, 'buyer-' || n, CASE WHEN status = 'ordered' AND NOT cancelled AND NOT returned THEN 1 ELSE 0 END, 1
FROM made;

INSERT INTO sale_count (sale_id, at, product_id, outcome, call_count, unit_count, latencies)
SELECT $1::uuid, sale.opens_at + s * interval '1 second', sale_item.product_id, outcome, 100, 100,
    (SELECT array_agg(v ORDER BY bucket, which) FROM generate_series(80, 119) AS bucket, LATERAL (VALUES (1, bucket), (2, 3)) AS pair (which, v))
FROM sale
JOIN sale_item ON sale_item.sale_id = sale.sale_id
CROSS JOIN generate_series(1, 3600) AS s
CROSS JOIN unnest(ARRAY['held', 'all-held', 'purchase-limit', 'not-enough-units']) AS outcome
WHERE sale.sale_id = $1::uuid;

INSERT INTO sale_sample (sale_id, at, available, held, ordered, sold, queued, sampled_at, took_seconds)
SELECT sale.sale_id, sale.opens_at + s * interval '1 second', $2::bigint * (3600 - s) / 3600, 1000, 100, $2::bigint * s / 3600, s % 50, sale.opens_at + s * interval '1 second', 0.01
FROM sale
CROSS JOIN generate_series(1, 3600) AS s
WHERE sale.sale_id = $1::uuid
ON CONFLICT DO NOTHING;

INSERT INTO sale_place (sale_id, product_id, at, available, held, ordered, sold)
SELECT sale.sale_id, sale_item.product_id, sale.opens_at + s * interval '1 second', $2::bigint * (3600 - s) / 3600, 1000, 100, $2::bigint * s / 3600
FROM sale
JOIN sale_item ON sale_item.sale_id = sale.sale_id
CROSS JOIN generate_series(1, 3600) AS s
WHERE sale.sale_id = $1::uuid
ON CONFLICT DO NOTHING;
