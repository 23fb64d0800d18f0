// Package books is what must hold in the database of a shop, as queries that name what breaks it: units, orders, money, events.
package books

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Rule is something that holds in the database. Its query names what breaks it.
type Rule struct{ Says, SQL string }

// Querier is a connection or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// Broken names what breaks rules, at most 20 of each.
func Broken(ctx context.Context, db Querier, rules []Rule) (found []string, err error) {
	for _, r := range rules {
		rows, err := db.Query(ctx, `SELECT broken::text FROM (`+r.SQL+`) AS found (broken) LIMIT 20`)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.Says, err)
		}
		broken, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.Says, err)
		}
		for _, what := range broken {
			found = append(found, r.Says+": "+what)
		}
	}
	return found, nil
}

// Units of all products, whatever was done with them. Lapsed holds that nobody has put away yet count as what they are written as.
var Units = []Rule{
	{"a unit is in exactly one place", `
		SELECT format('%s has %s tokens, %s live claims, %s rows in quarantine, %s withdrawals', unit.unit_id, token.n, live.n, looked.n, gone.n)
		FROM unit
		CROSS JOIN LATERAL (SELECT count(*) AS n FROM stock_token WHERE stock_token.unit_id = unit.unit_id) AS token
		CROSS JOIN LATERAL (SELECT count(*) AS n FROM claim_unit WHERE claim_unit.unit_id = unit.unit_id AND claim_unit.released_at IS NULL) AS live
		CROSS JOIN LATERAL (SELECT count(*) AS n FROM quarantine_unit WHERE quarantine_unit.unit_id = unit.unit_id AND quarantine_unit.left_at IS NULL) AS looked
		CROSS JOIN LATERAL (SELECT count(*) AS n FROM withdrawal_unit WHERE withdrawal_unit.unit_id = unit.unit_id) AS gone
		WHERE token.n + live.n + looked.n + gone.n <> 1`},
	{"what came in is there", `
		SELECT format('%s: %s received, %s units', product.sku, came.n, is_there.n)
		FROM product
		CROSS JOIN LATERAL (SELECT coalesce(sum(receipt.quantity), 0) AS n FROM receipt WHERE receipt.product_id = product.product_id) AS came
		CROSS JOIN LATERAL (SELECT count(*) AS n FROM unit WHERE unit.product_id = product.product_id) AS is_there
		WHERE came.n <> is_there.n`},
	{"only holds and orders have units", `
		SELECT format('%s is %s, its order %s, and has units', claim.claim_id, claim.status, coalesce(shop_order.status, 'none'))
		FROM claim
		LEFT JOIN shop_order ON shop_order.order_id = claim.order_id
		WHERE EXISTS (SELECT FROM claim_unit WHERE claim_unit.claim_id = claim.claim_id AND claim_unit.released_at IS NULL)
			AND NOT coalesce(claim.status = 'held' OR claim.status = 'ordered' AND shop_order.status IN ('awaiting_payment', 'paid'), false)`},
	{"a buyer is counted what the buyer has", `
		SELECT format('%s is counted %s, has %s', buyer, coalesce(counted.n, 0), coalesce(has.n, 0))
		FROM (SELECT sale_id, buyer, unit_count AS n FROM sale_buyer) AS counted
		FULL JOIN (
			SELECT claim.sale_id, claim.buyer, count(*) AS n
			FROM claim
			JOIN claim_unit ON claim_unit.claim_id = claim.claim_id AND claim_unit.released_at IS NULL
			WHERE claim.sale_id IS NOT NULL
			GROUP BY claim.sale_id, claim.buyer
		) AS has USING (sale_id, buyer)
		WHERE coalesce(counted.n, 0) <> coalesce(has.n, 0)`},
}

// Settled hold when nobody does anything any more.
var Settled = []Rule{
	{"every order is final", `SELECT format('%s is %s', order_id, status) FROM shop_order WHERE status NOT IN ('paid', 'refunded', 'cancelled')`},
	{"every payment is settled", `SELECT payment_id FROM payment WHERE status = 'pending'`},
	{"every refund is settled", `SELECT refund_id FROM refund WHERE status = 'pending'`},
	{"the provider takes no more money", `SELECT charge_id FROM test_charge WHERE status = 'pending'`},
	// What lapses now may still be told of.
	{"every event is published", `SELECT format('%s %s', type, event_id) FROM event WHERE position IS NULL AND created_at < now() - interval '5 seconds'`},
}

// Money hold the shop's books and the provider's against each other: in sums, and one by one, so that no two mistakes make up for each other.
var Money = []Rule{
	{"captured = paid + given back because it came too late", `
		SELECT format('%s captured, %s paid, %s late', captured.n, paid.n, late.n)
		FROM (SELECT coalesce(sum(amount_minor), 0) AS n FROM test_charge WHERE status = 'succeeded') AS captured
		CROSS JOIN (SELECT coalesce(sum(total_minor), 0) AS n FROM shop_order WHERE provider = 'test' AND status IN ('paid', 'refunded')) AS paid
		CROSS JOIN (SELECT coalesce(sum(amount_minor), 0) AS n FROM refund WHERE reason = 'late-payment') AS late
		WHERE captured.n <> paid.n + late.n`},
	{"given back by the provider = refunds", `
		SELECT format('%s given back, %s refunded', back.n, asked.n)
		FROM (SELECT coalesce(sum(amount_minor), 0) AS n FROM test_refund) AS back
		CROSS JOIN (SELECT coalesce(sum(amount_minor), 0) AS n FROM refund WHERE payment_id IS NOT NULL) AS asked
		WHERE back.n <> asked.n`},
	{"a charge is a payment", `
		SELECT format('charge %s of %s, payment %s of %s', charge.charge_id, charge.amount_minor, paid.payment_id, paid.amount_minor)
		FROM (SELECT * FROM test_charge WHERE status = 'succeeded') AS charge
		FULL JOIN (SELECT * FROM payment WHERE provider = 'test' AND status = 'succeeded') AS paid ON paid.payment_id = charge.charge_id
		WHERE (charge.amount_minor = paid.amount_minor AND charge.currency = paid.currency) IS NOT TRUE`},
	{"an order is paid once, and what is cancelled has no money", `
		SELECT format('%s is %s, costs %s; %s payments of %s, %s of it late', shop_order.order_id, shop_order.status, shop_order.total_minor, paid.n, paid.amount, late.amount)
		FROM shop_order
		CROSS JOIN LATERAL (
			SELECT count(*) AS n, coalesce(sum(payment.amount_minor), 0) AS amount
			FROM payment
			WHERE payment.order_id = shop_order.order_id AND payment.status = 'succeeded'
		) AS paid
		CROSS JOIN LATERAL (
			SELECT coalesce(sum(refund.amount_minor), 0) AS amount
			FROM refund
			WHERE refund.order_id = shop_order.order_id AND refund.reason = 'late-payment'
		) AS late
		WHERE shop_order.provider = 'test'
			AND NOT CASE
				WHEN shop_order.status IN ('paid', 'refunded') THEN paid.n = 1 AND paid.amount = shop_order.total_minor AND late.amount = 0
				ELSE paid.n <= 1 AND paid.amount = late.amount
			END`},
	{"a refund is made once", `
		SELECT format('refund %s of %s, made %s of %s', asked.refund_id, asked.amount_minor, made.refund_id, made.amount_minor)
		FROM (SELECT * FROM refund WHERE payment_id IS NOT NULL) AS asked
		FULL JOIN test_refund AS made ON made.refund_id = asked.refund_id
		WHERE (made.amount_minor = asked.amount_minor AND made.charge_id = asked.payment_id) IS NOT TRUE`},
	{"an order and its payment count their refunds", `
		SELECT format('%s counts %s, refunds %s', counted.id, counted.refunded_minor, asked.amount)
		FROM (
			SELECT order_id AS id, refunded_minor FROM shop_order
			UNION ALL
			SELECT payment_id, refunded_minor FROM payment
		) AS counted
		CROSS JOIN LATERAL (
			SELECT coalesce(sum(refund.amount_minor), 0) AS amount
			FROM refund
			WHERE refund.order_id = counted.id OR refund.payment_id = counted.id
		) AS asked
		WHERE counted.refunded_minor <> asked.amount`},
	{"what came back was refunded, at its price", `
		SELECT format('%s: units for %s came back, %s refunded', order_id, coalesce(back.amount, 0), coalesce(asked.amount, 0))
		FROM (
			SELECT claim.order_id, sum(claim.price_minor) AS amount
			FROM claim
			JOIN claim_unit ON claim_unit.claim_id = claim.claim_id AND claim_unit.outcome IN ('returned', 'quarantined', 'written_off')
			GROUP BY claim.order_id
		) AS back
		FULL JOIN (
			SELECT refund.order_id, sum(refund.amount_minor) AS amount
			FROM refund
			WHERE refund.reason = 'returned'
			GROUP BY refund.order_id
		) AS asked USING (order_id)
		WHERE coalesce(back.amount, 0) <> coalesce(asked.amount, 0)`},
	{"an order costs what its lines do, and has units while it stands", `
		SELECT format('%s is %s, costs %s; its lines %s, it has %s units', shop_order.order_id, shop_order.status, shop_order.total_minor, line.amount, line.units)
		FROM shop_order
		CROSS JOIN LATERAL (
			SELECT
				coalesce(sum(claim.price_minor * claim.quantity), 0) AS amount,
				coalesce(sum((
					SELECT count(*) FROM claim_unit WHERE claim_unit.claim_id = claim.claim_id AND claim_unit.released_at IS NULL
				)), 0) AS units
			FROM claim
			WHERE claim.order_id = shop_order.order_id
		) AS line
		WHERE line.amount <> shop_order.total_minor
			OR (line.units > 0) <> (shop_order.status IN ('awaiting_payment', 'paid'))`},
	{"an order replaces a cancelled one of the same buyer and price", `
		SELECT format('%s replaces %s, which is %s', new.order_id, old.order_id, old.status)
		FROM shop_order AS new
		LEFT JOIN shop_order AS old ON old.order_id = new.replaces_order_id
		WHERE new.replaces_order_id IS NOT NULL
			AND (old.status = 'cancelled' AND old.buyer = new.buyer AND old.total_minor = new.total_minor) IS NOT TRUE`},
}

// Events: an event for each change of an order, in the transaction that made it.
var Events = []Rule{
	{"each change of an order is told once", `
		WITH told AS (
			SELECT data->>'order_id' AS order_id, type, count(*) AS n
			FROM event
			WHERE type LIKE 'order.%' OR type = 'payment.late'
			GROUP BY data->>'order_id', type
		),
		changed AS (
			SELECT order_id::text, 'order.created' AS type, 1::bigint AS n FROM shop_order WHERE replaces_order_id IS NULL
			UNION ALL
			SELECT order_id::text, 'order.paid', 1 FROM shop_order WHERE status IN ('paid', 'refunded')
			UNION ALL
			SELECT order_id::text, 'order.cancelled', 1 FROM shop_order WHERE status = 'cancelled'
			UNION ALL
			SELECT order_id::text, 'order.refunded', count(*) FROM refund WHERE reason = 'returned' GROUP BY order_id
			UNION ALL
			SELECT replaces_order_id::text, 'payment.late', 1 FROM shop_order WHERE replaces_order_id IS NOT NULL
			UNION ALL
			SELECT order_id::text, 'payment.late', 1 FROM refund WHERE reason = 'late-payment'
		)
		SELECT format('%s of %s is told %s times and was done %s times', type, order_id, coalesce(told.n, 0), coalesce(changed.n, 0))
		FROM told
		FULL JOIN changed USING (order_id, type)
		WHERE coalesce(told.n, 0) <> coalesce(changed.n, 0)`},
}
