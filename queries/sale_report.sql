-- SaleReportBuyers counts who has units of a sale, and of those who has as many as they may.
-- name: SaleReportBuyers :one
SELECT
    count(*) FILTER (WHERE sale_buyer.unit_count > 0) AS buyer_count,
    count(*) FILTER (WHERE sale_buyer.unit_count >= sale_buyer.purchase_limit) AS at_limit_count
FROM sale_buyer
WHERE sale_buyer.sale_id = @sale_id;

-- SaleReportClaims counts the claims of a sale by product, currency and what became of them; those that are paid for also by the step of its course in which they
-- were: step n ends n steps after course_from, and the last takes what is later. Ids tell when claims were made, so only those between two ids are looked through, and those
-- that replace lapsed holds, which may have been made later. paid_at is the latest, or 1970.
-- name: SaleReportClaims :many
WITH made AS (
    SELECT
        claim.product_id,
        claim.quantity,
        claim.status,
        claim.price_minor,
        claim.currency,
        claim.expires_at,
        claim.order_id,
        claim.queue_place,
        false AS replacing
    FROM claim
    WHERE claim.claim_id BETWEEN @first_claim_id::uuid AND @last_claim_id::uuid
        AND claim.sale_id = @sale_id::uuid
        AND claim.replaces_claim_id IS NULL
    UNION ALL
    SELECT
        claim.product_id,
        claim.quantity,
        claim.status,
        claim.price_minor,
        claim.currency,
        claim.expires_at,
        claim.order_id,
        claim.queue_place,
        true AS replacing
    FROM claim
    WHERE claim.replaces_claim_id IS NOT NULL
        AND claim.sale_id = @sale_id::uuid
),
became AS (
    SELECT
        made.product_id,
        made.quantity,
        made.price_minor,
        made.currency,
        made.replacing,
        made.queue_place IS NOT NULL AS queued,
        CASE
            WHEN made.status IN ('queued', 'refused') THEN made.status
            WHEN made.status = 'released' AND made.expires_at IS NULL THEN 'left'
            WHEN made.status = 'released' THEN 'released'
            WHEN made.status = 'expired' THEN 'lapsed'
            WHEN made.status = 'held' AND made.expires_at <= @now::timestamptz THEN 'lapsed'
            WHEN made.status = 'held' THEN 'held'
            WHEN shop_order.status = 'awaiting_payment' AND shop_order.pay_by <= @now::timestamptz THEN 'cancelled'
            WHEN shop_order.status = 'awaiting_payment' THEN 'unpaid'
            WHEN shop_order.status = 'cancelled' THEN 'cancelled'
            ELSE 'paid'
        END AS fate,
        CASE
            WHEN shop_order.paid_at IS NULL THEN 0
            ELSE least(greatest(ceil(date_part('epoch', shop_order.paid_at - @course_from::timestamptz) / @step_seconds::float8), 1), @steps::integer)
        END::integer AS step,
        shop_order.paid_at
    FROM made
    LEFT JOIN shop_order
        ON shop_order.order_id = made.order_id
        AND shop_order.order_id >= @first_claim_id::uuid
)
SELECT
    became.product_id,
    coalesce(became.currency, '')::text AS currency,
    became.fate::text AS fate,
    became.replacing::boolean AS replacing,
    became.queued::boolean AS queued,
    became.step::integer AS step,
    count(*) AS claim_count,
    sum(became.quantity)::bigint AS unit_count,
    coalesce(sum(became.quantity * became.price_minor), 0)::bigint AS amount_minor,
    coalesce(max(became.paid_at), 'epoch')::timestamptz AS paid_at
FROM became
GROUP BY
    became.product_id,
    became.currency,
    became.fate,
    became.replacing,
    became.queued,
    became.step;

-- SaleReportCounts adds up what was answered to those who asked for units of a sale.
-- name: SaleReportCounts :many
SELECT
    sale_count.product_id,
    sale_count.outcome,
    sum(sale_count.call_count)::bigint AS call_count
FROM sale_count
WHERE sale_count.sale_id = @sale_id
GROUP BY
    sale_count.product_id,
    sale_count.outcome;

-- SaleReportItems reads the products of a sale, by SKU, and what its samples tell of each until it closed: how many units there were at most, and when it was first seen
-- that none could be claimed, and that all were paid for. 1970: it was not seen.
-- name: SaleReportItems :many
SELECT
    sale_item.product_id,
    product.sku,
    coalesce(product.name, product.sku)::text AS name,
    coalesce(seen.offered, 0)::bigint AS offered,
    coalesce(seen.taken_at, 'epoch')::timestamptz AS taken_at,
    coalesce(seen.sold_out_at, 'epoch')::timestamptz AS sold_out_at
FROM sale_item
JOIN product ON product.product_id = sale_item.product_id
LEFT JOIN LATERAL (
    SELECT
        max(sale_place.available + sale_place.held + sale_place.ordered + sale_place.sold) AS offered,
        min(sale_place.at) FILTER (WHERE sale_place.available = 0 AND sale_place.at > @opens_at::timestamptz) AS taken_at,
        min(sale_place.at) FILTER (
            WHERE sale_place.available + sale_place.held + sale_place.ordered = 0
                AND sale_place.sold > 0
                AND sale_place.at > @opens_at::timestamptz
        ) AS sold_out_at
    FROM sale_place
    WHERE sale_place.sale_id = sale_item.sale_id
        AND sale_place.product_id = sale_item.product_id
        AND sale_place.at <= @closes_at::timestamptz
) AS seen ON true
WHERE sale_item.sale_id = @sale_id
ORDER BY product.sku;

-- SaleReportRefunds counts the refunds of orders that have something of a sale, with what its lines of those orders cost.
-- name: SaleReportRefunds :many
SELECT
    refund.reason,
    refund.status,
    coalesce(refund.currency, '')::text AS currency,
    count(*) AS refund_count,
    sum(of_sale.amount_minor)::bigint AS amount_minor
FROM refund
JOIN LATERAL (
    SELECT sum(claim.quantity * claim.price_minor) AS amount_minor
    FROM claim
    WHERE claim.order_id = refund.order_id
        AND claim.sale_id = @sale_id::uuid
) AS of_sale ON of_sale.amount_minor IS NOT NULL
WHERE refund.refund_id >= @first_claim_id::uuid
GROUP BY
    refund.reason,
    refund.status,
    refund.currency;

-- SaleReportReturns counts the units of a sale that came back from paid orders, by product, where they went and step, as in SaleReportClaims, with what they cost; 0 where the
-- shop beside took the money.
-- name: SaleReportReturns :many
WITH back AS (
    SELECT
        claim_unit.claim_id,
        claim_unit.unit_id,
        claim_unit.outcome,
        claim_unit.released_at
    FROM claim_unit
    WHERE claim_unit.outcome IN ('returned', 'quarantined', 'written_off')
        AND claim_unit.claim_id BETWEEN @first_claim_id::uuid AND @last_claim_id::uuid
    UNION -- a replacement may also lie between the ids
    SELECT
        claim_unit.claim_id,
        claim_unit.unit_id,
        claim_unit.outcome,
        claim_unit.released_at
    FROM claim AS replacing
    JOIN claim_unit ON claim_unit.claim_id = replacing.claim_id
    WHERE replacing.replaces_claim_id IS NOT NULL
        AND replacing.sale_id = @sale_id::uuid
        AND claim_unit.outcome IN ('returned', 'quarantined', 'written_off')
),
stepped AS (
    SELECT
        claim.product_id,
        claim.currency,
        claim.price_minor,
        claim.order_id,
        back.outcome,
        least(greatest(ceil(date_part('epoch', back.released_at - @course_from::timestamptz) / @step_seconds::float8), 1), @steps::integer)::integer AS step
    FROM back
    JOIN claim ON claim.claim_id = back.claim_id
    WHERE claim.sale_id = @sale_id::uuid
)
SELECT
    stepped.product_id,
    coalesce(stepped.currency, '')::text AS currency,
    stepped.outcome::text AS outcome,
    stepped.step::integer AS step,
    count(*) AS unit_count,
    coalesce(sum(stepped.price_minor) FILTER (WHERE shop_order.total_minor IS NOT NULL), 0)::bigint AS amount_minor
FROM stepped
JOIN shop_order ON shop_order.order_id = stepped.order_id
GROUP BY
    stepped.product_id,
    stepped.currency,
    stepped.outcome,
    stepped.step;
