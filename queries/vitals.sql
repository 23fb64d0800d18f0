-- Vitals reads what is waiting, from one snapshot. Each count ends at count_limit, so that it is cheap when much waits; ages are in seconds, 0 when nothing waits.
-- An audit of everything ends what was found before it; audits of single products after it count as well.
-- name: Vitals :one
WITH moment AS (
    SELECT coalesce(sqlc.narg('now')::timestamptz, clock_timestamp()) AS now
),
waiting_queue AS (
    SELECT
        queue_tail.place - queue_head.place AS unit_count,
        (
            SELECT claim.created_at
            FROM claim
            WHERE claim.product_id = queue_head.product_id
                AND claim.pool_id = queue_head.pool_id
                AND claim.queue_place >= queue_head.place
                AND claim.status = 'queued'
            ORDER BY claim.queue_place
            LIMIT 1
        ) AS oldest_at
    FROM queue_head
    JOIN queue_tail
        ON queue_tail.product_id = queue_head.product_id
        AND queue_tail.pool_id = queue_head.pool_id
    WHERE queue_tail.place > queue_head.place
),
waiting_delivery AS (
    SELECT webhook_delivery.created_at
    FROM webhook_delivery
    JOIN webhook ON webhook.webhook_id = webhook_delivery.webhook_id
    WHERE webhook_delivery.status = 'pending'
        AND webhook.enabled
    LIMIT @count_limit::bigint
),
waiting_event AS (
    SELECT event.created_at
    FROM event
    WHERE event.position IS NULL
    LIMIT @count_limit::bigint
),
waiting_payment AS (
    SELECT payment.created_at
    FROM payment
    WHERE payment.status = 'pending'
    LIMIT @count_limit::bigint
),
waiting_refund AS (
    SELECT refund.created_at
    FROM refund
    WHERE refund.status = 'pending'
    LIMIT @count_limit::bigint
),
waiting_order AS (
    SELECT shop_order.pay_by
    FROM shop_order
    WHERE shop_order.status = 'awaiting_payment'
    LIMIT @count_limit::bigint
),
whole_audit AS (
    SELECT audit_run.finished_at
    FROM audit_run
    WHERE audit_run.sku IS NULL
    ORDER BY audit_run.finished_at DESC
    LIMIT 1
),
last_audit AS (
    SELECT DISTINCT ON (audit_run.sku) audit_run.ok
    FROM audit_run
    WHERE audit_run.finished_at >= coalesce((SELECT whole_audit.finished_at FROM whole_audit), '-infinity')
    ORDER BY
        audit_run.sku,
        audit_run.finished_at DESC
)
SELECT
    coalesce((SELECT sum(waiting_queue.unit_count) FROM waiting_queue), 0)::bigint AS queue_units,
    coalesce((SELECT extract(epoch FROM max(moment.now - waiting_queue.oldest_at)) FROM waiting_queue), 0)::float8 AS queue_oldest_seconds,
    (SELECT count(*) FROM waiting_delivery)::bigint AS delivery_count,
    coalesce((SELECT extract(epoch FROM max(moment.now - waiting_delivery.created_at)) FROM waiting_delivery), 0)::float8 AS delivery_oldest_seconds,
    (SELECT count(*) FROM webhook WHERE webhook.enabled)::bigint AS webhook_enabled_count,
    (SELECT count(*) FROM webhook WHERE NOT webhook.enabled AND webhook.disabled_reason IS NULL)::bigint AS webhook_disabled_count,
    (SELECT count(*) FROM webhook WHERE webhook.disabled_reason IS NOT NULL)::bigint AS webhook_gone_count,
    (SELECT count(*) FROM waiting_event)::bigint AS event_unpublished_count,
    coalesce((SELECT extract(epoch FROM max(moment.now - waiting_event.created_at)) FROM waiting_event), 0)::float8 AS event_unpublished_oldest_seconds,
    greatest(coalesce((SELECT max(event.position) FROM event), 0) - (SELECT webhook_cursor.position FROM webhook_cursor), 0)::bigint AS event_unrelayed_count,
    (SELECT count(*) FROM waiting_payment)::bigint AS payment_pending_count,
    coalesce((SELECT extract(epoch FROM max(moment.now - waiting_payment.created_at)) FROM waiting_payment), 0)::float8 AS payment_pending_oldest_seconds,
    (SELECT count(*) FROM waiting_refund)::bigint AS refund_pending_count,
    (SELECT count(*) FROM waiting_order)::bigint AS order_awaiting_payment_count,
    (SELECT count(*) FROM waiting_order WHERE waiting_order.pay_by <= moment.now)::bigint AS order_overdue_count,
    (SELECT selling.paused_at IS NOT NULL FROM selling)::boolean AS selling_paused,
    coalesce((SELECT bool_and(last_audit.ok) FROM last_audit), true)::boolean AS audit_ok,
    EXISTS (SELECT 1 FROM last_audit)::boolean AS audit_known,
    coalesce((SELECT extract(epoch FROM whole_audit.finished_at) FROM whole_audit), 0)::float8 AS audit_finished_epoch
FROM moment;

-- VitalsPlaces reads where the units of the sales that are open or paused were when they were sampled last, of the first products by SKU.
-- name: VitalsPlaces :many
SELECT
    product.sku,
    latest.available,
    latest.held,
    latest.ordered,
    latest.sold
FROM sale
JOIN sale_item ON sale_item.sale_id = sale.sale_id
JOIN product ON product.product_id = sale_item.product_id
JOIN LATERAL (
    SELECT
        sale_place.available,
        sale_place.held,
        sale_place.ordered,
        sale_place.sold
    FROM sale_place
    WHERE sale_place.sale_id = sale_item.sale_id
        AND sale_place.product_id = sale_item.product_id
    ORDER BY sale_place.at DESC
    LIMIT 1
) AS latest ON true
WHERE sale.stage = 'scheduled'
    AND NOT sale.rehearsal
    AND sale.closes_at > coalesce(sqlc.narg('now')::timestamptz, now())
    AND sale_state(sale.stage, sale.opens_at, sale.closes_at, sale.paused_at, coalesce(sqlc.narg('now')::timestamptz, clock_timestamp())) IN ('open', 'paused')
ORDER BY product.sku
LIMIT @row_limit;

-- VitalsSales counts the sales that are scheduled, open or paused.
-- name: VitalsSales :many
SELECT
    live.state::text AS state,
    count(*) AS sale_count
FROM (
    SELECT sale_state(sale.stage, sale.opens_at, sale.closes_at, sale.paused_at, coalesce(sqlc.narg('now')::timestamptz, clock_timestamp())) AS state
    FROM sale
    WHERE sale.stage = 'scheduled'
        AND NOT sale.rehearsal
        AND sale.closes_at > coalesce(sqlc.narg('now')::timestamptz, now())
) AS live
WHERE live.state <> 'closed'
GROUP BY live.state
ORDER BY live.state;
