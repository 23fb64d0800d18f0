package shop_test

import (
	"crypto/md5"
	"fmt"
	"strings"
	"testing"

	"github.com/lastunit/lastunit/internal/shop"
)

// filling makes claims of one sale, numbered from $1 to $2: a line of an unpaid order and a hold for each number. So many numbers as $3 says share an order and its buyer.
var filling = []string{
	`INSERT INTO claim (claim_id, buyer, product_id, pool_id, quantity, status, idempotency_key, price_minor, currency, created_at, expires_at, ended_at, order_id, unpaid, pay_by, sale_id)
		SELECT md5('c' || n)::uuid, 'b' || n / $3, 1, 0, 1, 'ordered', 'k' || n, 100, 'EUR', now(), now() + interval '1 hour', now(), md5('o' || n / $3)::uuid, true, now() + interval '1 hour', md5('s')::uuid
		FROM generate_series($1::int, $2::int) AS n`,
	`INSERT INTO claim_unit (claim_id, unit_id) SELECT md5('c' || n)::uuid, md5('u' || n)::uuid FROM generate_series($1::int, $2::int) AS n WHERE $3 > 0`,
	`INSERT INTO shop_order (order_id, buyer, status, provider, total_minor, currency, pay_by, created_at)
		SELECT DISTINCT md5('o' || n / $3)::uuid, 'b' || n / $3, 'awaiting_payment', 'test', 100, 'EUR', now() + interval '1 hour', now() FROM generate_series($1::int, $2::int) AS n`,
	`INSERT INTO payment (payment_id, order_id, provider, status, amount_minor, currency, created_at, ask_at)
		SELECT DISTINCT md5('p' || n / $3)::uuid, md5('o' || n / $3)::uuid, 'test', 'pending', 100, 'EUR', now(), now() + interval '1 hour' FROM generate_series($1::int, $2::int) AS n`,
	`INSERT INTO sale_buyer (sale_id, buyer, unit_count) SELECT md5('s')::uuid, 'b' || n / $3, count(*) FROM generate_series($1::int, $2::int) AS n GROUP BY n / $3`,
	`INSERT INTO call_key (caller, operation, idempotency_key, request_hash, result_id, created_at)
		SELECT 'b' || n, 'checkout', 'k', sha256('x'), md5('o' || n)::uuid, now() FROM generate_series($1::int, $2::int) AS n WHERE $3 > 0`,
	`INSERT INTO claim (claim_id, buyer, product_id, pool_id, quantity, status, price_minor, currency, created_at, expires_at, sale_id)
		SELECT md5('h' || n)::uuid, 'b' || n / $3, 1, 0, 1, 'held', 100, 'EUR', now(), now() + interval '1 hour', md5('s')::uuid FROM generate_series($1::int, $2::int) AS n`,
}

// Statements of buyers and their orders look up by their keys what they were given, however many others there are, and whatever the planner has heard of them: that the tables
// are empty, or that one order is all there is. (It sees how large they are now. Plans from before don't last: pgdb forgets them.)
func TestOrdersAreLookedUpByTheirKeysWhateverThePlannerBelieves(t *testing.T) {
	t.Parallel()
	const given = 20
	settle := settleSettings(t)
	gathered, _ := statement(t, "claim.sql", "GatherSettings")
	alone := `SET LOCAL plan_cache_mode = force_generic_plan`
	each := func(value func(n int) string) string {
		var values []string
		for n := range given {
			values = append(values, value(7000+n))
		}
		return "'{" + strings.Join(values, ",") + "}'"
	}
	text := func(form string) func(int) string { return func(n int) string { return fmt.Sprintf(form, n) } }
	uuid := func(form string) func(int) string {
		return func(n int) string { return fmt.Sprintf("%x", md5.Sum([]byte(fmt.Sprintf(form, n)))) }
	}
	claims, orders, payments, sales := each(uuid("c%d")), each(uuid("o%d")), each(uuid("p%d")), each(uuid("s%.0d"))
	buyers, keys, same, ones, fives := each(text("b%d")), each(text("k%d")), each(text("k%.0d")), each(text("1%.0d")), each(text("5%.0d"))
	order, buyer, sale := "md5('o7000')::uuid", "'b7000'::text", "ARRAY[md5('s')::uuid]"
	cases := []struct {
		settings, file, name, args string
		most                       int
	}{
		{gathered, "claim.sql", "ClaimOfOrders", orders, 20 * given},
		{settle, "claim.sql", "ClaimOfOrders", orders, 20 * given},
		{gathered, "claim.sql", "ClaimLockOfOrders", orders, 10 * given},
		{alone, "claim.sql", "ClaimLockOfOrders", orders, 10 * given},
		{alone, "claim.sql", "ClaimTryLockOfOrders", orders, 20 * given},
		{gathered, "claim.sql", "ClaimPaid", orders, 50 * given},
		{alone, "claim.sql", "ClaimForOrder", claims, 20 * given},
		{gathered, "claim.sql", "ClaimTryLockMany", claims, 10 * given},
		{alone, "claim.sql", "ClaimLockMany", claims, 10 * given},
		{alone, "claim.sql", "ClaimHeldOfBuyer", buyer + ", 1000", given},
		{alone, "claim.sql", "ClaimOfBuyer", buyer, given},
		{settle, "claim.sql", "ClaimByKeys", buyers + ", " + keys, 20 * given},
		{settle, "claim.sql", "ClaimLockLapsedOfBuyers", sales + ", " + buyers, 10 * given},
		{gathered, "shop_order.sql", "ShopOrderByIDs", orders, 20 * given},
		{settle, "shop_order.sql", "ShopOrderByIDs", orders, 20 * given},
		{gathered, "shop_order.sql", "ShopOrderTryLockMany", orders, 10 * given},
		{alone, "shop_order.sql", "ShopOrderLock", order, given},
		{gathered, "shop_order.sql", "ShopOrderPaid", orders, 50 * given},
		{settle, "shop_order.sql", "ShopOrderUnpaidOfBuyers", sales + ", " + buyers, 20 * given},
		{alone, "shop_order.sql", "ShopOrderLockOverdueByIDs", orders + ", true", 20 * given},
		{gathered, "payment.sql", "PaymentLiveMany", orders, 10 * given},
		{alone, "payment.sql", "PaymentLive", order, given},
		{gathered, "payment.sql", "PaymentSettlePaid", payments + ", " + orders, 50 * given},
		{alone, "claim_unit.sql", "ClaimUnitOfOrder", order, given},
		{alone, "sale_buyer.sql", "SaleBuyerLockOfOrder", buyer + ", " + order, given},
		{alone, "sale_buyer.sql", "SaleBuyerLock", buyer + ", " + sale, given},
		{settle, "sale_buyer.sql", "SaleBuyerLook", sales + ", " + buyers, 30 * given},
		{settle, "sale_buyer.sql", "SaleBuyerTryLock", sales + ", " + buyers, 10 * given},
		{settle, "sale_buyer.sql", "SaleBuyerEnter", sales + ", " + buyers + ", " + ones + ", " + fives, 20 * given},
		{settle, "sale_buyer.sql", "SaleBuyerAdd", sales + ", " + buyers + ", " + ones + ", " + fives, 50 * given},
		{gathered, "call_key.sql", "CallKeyBound", buyers + ", " + same + ", 'checkout'", 10 * given},
		{alone, "call_key.sql", "CallKeyRead", buyer + ", 'checkout', 'k'", given},
	}
	for first, lines := range map[string]int{"nothing": 0, "one order": 200} {
		t.Run(first, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, shop.Options{})
			w.product(shop.Product{SKU: "A", Selling: true})
			w.exec(`INSERT INTO sale (sale_id, name, opens_at, closes_at, hold_seconds, max_quantity, cooldown_seconds, created_at, updated_at)
				VALUES (md5('s')::uuid, 'A sale', now(), now() + interval '1 hour', 60, 1, 0, now(), now())`)
			fill := func(from, to, together int) {
				for _, sql := range filling {
					w.exec(sql, from, to, together)
				}
			}
			for _, table := range []string{"claim", "claim_unit", "shop_order", "payment", "sale_buyer", "call_key"} {
				w.exec(`ALTER TABLE ` + table + ` SET (autovacuum_enabled = off)`)
			}
			if lines > 0 {
				fill(-lines, -1, lines+1)
			}
			w.exec(`ANALYZE`)
			fill(1, 20_000, 1)
			for _, k := range cases {
				p := explain(t, w.db, k.settings, k.file, k.name, k.args)
				t.Logf("%s: %d buffers", k.name, p.buffers())
				if p.buffers() > k.most {
					t.Errorf("%s: %d buffers, want at most %d:\n%v", k.name, p.buffers(), k.most, p)
				}
			}
		})
	}
}
